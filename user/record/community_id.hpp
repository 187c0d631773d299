// SPDX-License-Identifier: Apache-2.0
// Community ID, version 1: a hash of a flow's endpoints that Zeek, Suricata and others print too, so that
// records of the same connection can be joined. VLAN and interface are no part of it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <tcpwin/types.h>

namespace tcpwin {

class CommunityId {
public:
	// Sites that want other identifiers than everybody's choose another seed than 0.
	CommunityId(const tcpwin_key &key, std::uint16_t seed);

	std::string_view text() const { return {text_.data(), text_.size()}; }

private:
	std::array<char, 2 + 28> text_{'1', ':'}; // 28: Base64 of a SHA-1
};

} // namespace tcpwin
