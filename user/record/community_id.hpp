// SPDX-License-Identifier: Apache-2.0
// Community ID, version 1: a hash of the endpoints of a flow. Zeek, Suricata and others print the same, so records of
// one connection can be joined. VLAN and interface are not part of it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <tcpwin/types.h>

namespace tcpwin {

class CommunityId {
public:
	// Sites that want private identifiers choose a seed other than 0.
	CommunityId(const tcpwin_key &key, std::uint16_t seed);

	std::string_view text() const { return {text_.data(), text_.size()}; }

private:
	std::array<char, 2 + 28> text_{'1', ':'}; // 28: Base64 of a SHA-1
};

} // namespace tcpwin
