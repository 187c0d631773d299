// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

#include <tcpwin/key.h>

namespace tcpwin::test {

// Addresses whose keys have one hash, if all else in them is equal: the second half of the address takes back what the
// first half changed. It inverts one step of tcpwin_hash_key.
inline tcpwin_address colliding_address(std::uint64_t number)
{
	const std::uint64_t odd = 0x9e3779b97f4a7c15;
	const std::uint64_t first = number << 8 | 0x20; // 20xx:: in the order of bytes
	std::uint64_t step = first * odd;
	step ^= step >> 32;
	const std::uint64_t second = step ^ 0x0123456789abcdef;
	tcpwin_address address;
	std::memcpy(address.byte, &first, 8);
	std::memcpy(address.byte + 8, &second, 8);
	return address;
}

} // namespace tcpwin::test
