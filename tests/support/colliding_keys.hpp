// SPDX-License-Identifier: Apache-2.0
// Keys of IPv6 connections that share one value of tcpwin_hash_key. Anyone can compute them, since the hash has no
// secret: each step of its fold has an inverse, so the lower half of one address makes up for all that came before.
#pragma once

#include <cstdint>
#include <cstring>

#include <tcpwin/flow.h>

namespace tcpwin {

// hash ^= hash >> 32 is its own inverse.
constexpr std::uint64_t hash_step(std::uint64_t hash, std::uint64_t part)
{
	hash = (hash ^ part) * 0x9e37'79b9'7f4a'7c15;
	return hash ^ hash >> 32;
}

// The part for which hash_step(before, part) is after.
constexpr std::uint64_t hash_step_to(std::uint64_t before, std::uint64_t after)
{
	constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;
	std::uint64_t inverse = odd; // right modulo 8; each round doubles the bits that are right
	for (int i = 0; i < 5; i++)
		inverse *= 2 - odd * inverse;
	return ((after ^ after >> 32) * inverse) ^ before;
}

// The number-th packet from 2001:db8::1, port 40000, to 2001:db8:number:0:*, port 443. collides: the last 64 bits of the
// address are those that give the key the hash of all others, else they are pseudo-random.
inline tcpwin_packet make_hashed_packet(std::uint32_t number, bool collides)
{
	tcpwin_packet packet{};
	const std::uint8_t client[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	std::memcpy(packet.source.byte, client, sizeof(client));
	std::memcpy(packet.destination.byte, client, 4);
	for (int i = 0; i < 4; i++)
		packet.destination.byte[4 + i] = static_cast<std::uint8_t>((number + 1) >> (24 - 8 * i));
	packet.source_port = 40'000;
	packet.destination_port = 443;

	std::uint64_t part, hash = 0;
	for (const std::uint8_t *at : {&packet.source.byte[0], &packet.source.byte[8], &packet.destination.byte[0]}) {
		std::memcpy(&part, at, sizeof(part));
		hash = hash_step(hash, part);
	}
	constexpr std::uint64_t common = 0x0123'4567'89ab'cdef;
	part = collides ? hash_step_to(hash, common) : hash_step(hash, number);
	std::memcpy(&packet.destination.byte[8], &part, sizeof(part));
	return packet;
}

} // namespace tcpwin
