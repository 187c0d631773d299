// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <set>

#include <gtest/gtest.h>
#include <tcpwin/key.h>

#include "support/collisions.hpp"

namespace tcpwin::test {
namespace {

constexpr std::uint64_t count = 40'000;

tcpwin_key key_of(const tcpwin_address &source)
{
	tcpwin_packet packet{};
	packet.source = source;
	std::memset(packet.destination.byte, 0xfe, sizeof(packet.destination.byte));
	packet.source_port = 1024;
	packet.destination_port = 443;
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_key key{};
	tcpwin_make_key(&packet, &config, &key);
	return key;
}

tcpwin_address random_address(std::uint64_t &state)
{
	tcpwin_address address{};
	for (int i = 0; i < 16; i += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		std::memcpy(address.byte + i, &state, 8);
	}
	address.byte[0] = 0x20;
	return address;
}

TEST(Hash, SpreadsRandomKeys)
{
	std::uint64_t state = 88172645463325252;
	std::set<std::uint32_t> hashes;
	for (std::uint64_t i = 0; i < count; i++) {
		const tcpwin_key key = key_of(random_address(state));
		hashes.insert(tcpwin_hash_key(&key));
	}
	EXPECT_GT(hashes.size(), count - 10) << "of 2^32 possible ones";
}

// A known weakness: whoever sends chooses addresses, and makes all lookups of the portable engine's table as slow as the
// number of flows. (The kernel's hash tables have a random seed.) A hash that is keyed by a secret must spread them.
TEST(Hash, KeysCanBeMadeToCollide)
{
	std::set<std::uint32_t> hashes;
	std::set<std::string> addresses;
	for (std::uint64_t i = 0; i < count; i++) {
		const tcpwin_address address = colliding_address(i);
		addresses.emplace(reinterpret_cast<const char *>(address.byte), sizeof(address.byte));
		const tcpwin_key key = key_of(address);
		hashes.insert(tcpwin_hash_key(&key));
	}
	EXPECT_EQ(addresses.size(), count);
	EXPECT_EQ(hashes.size(), 1U);
}

} // namespace
} // namespace tcpwin::test
