// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tcpwin {

enum class LinkType { ethernet, raw_ip, linux_sll, linux_sll2, null, loop, ppp };

// A captured frame.
struct Frame {
	const std::uint8_t *data; // valid until the next frame is read
	std::uint32_t captured;   // length of data
	std::uint32_t wire;       // length on the wire, at least captured
	LinkType link;
	std::uint64_t time_ns; // since 1970
	std::uint64_t number;  // in the file, from 1
};

} // namespace tcpwin
