/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keys of the tables: of flows, of fragmented packets, of stalled hosts.
 */
#ifndef TCPWIN_KEY_H
#define TCPWIN_KEY_H

#include "vlan.h"

TCPWIN_INLINE __u64 tcpwin_be64(const __u8 *at)
{
	__u64 value;

	__builtin_memcpy(&value, __builtin_assume_aligned(at, 8), sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

/* Less than, equal to or greater than 0, as memcmp. */
TCPWIN_INLINE int tcpwin_compare_address(const struct tcpwin_address *left, const struct tcpwin_address *right)
{
	for (int i = 0; i < 16; i += 8) {
		__u64 l = tcpwin_be64(left->byte + i), r = tcpwin_be64(right->byte + i);
		if (l != r)
			return l < r ? -1 : 1;
	}
	return 0;
}

/*
 * Fills key, padding included, and returns which of its endpoints sent the
 * packet. Equal endpoints (land attack) are one direction, 0.
 */
TCPWIN_INLINE __u32 tcpwin_make_key(const struct tcpwin_packet *packet, const struct tcpwin_config *config,
				    struct tcpwin_key *key)
{
	int order = tcpwin_compare_address(&packet->source, &packet->destination);
	__u32 from = order > 0 || (order == 0 && packet->source_port > packet->destination_port);

	key->address[0] = from ? packet->destination : packet->source;
	key->address[1] = from ? packet->source : packet->destination;
	key->port[0] = from ? packet->destination_port : packet->source_port;
	key->port[1] = from ? packet->source_port : packet->destination_port;
	key->vlan = tcpwin_key_vlan(packet, config);
	key->scope = packet->scope;
	return from;
}

/* 32 bits of a multiplicative hash over the five words of the key. */
TCPWIN_INLINE __u32 tcpwin_hash_key(const struct tcpwin_key *key)
{
	const __u64 odd = 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio */
	const __u8 *at = (const __u8 *)key;
	__u64 hash = 0;

	for (int i = 0; i < 5; i++) {
		__u64 part;
		__builtin_memcpy(&part, __builtin_assume_aligned(at + 8 * i, 8), sizeof(part));
		hash = (hash ^ part) * odd;
		hash ^= hash >> 32;
	}
	return (__u32)hash;
}

TCPWIN_INLINE void tcpwin_make_fragment_key(const struct tcpwin_packet *packet, const struct tcpwin_config *config,
					    struct tcpwin_fragment_key *key)
{
	key->source = packet->source;
	key->destination = packet->destination;
	key->id = packet->id;
	key->vlan = tcpwin_key_vlan(packet, config);
	key->scope = packet->scope;
}

TCPWIN_INLINE void tcpwin_make_host(const struct tcpwin_key *key, __u32 endpoint, struct tcpwin_stalled_host *host)
{
	host->address = key->address[endpoint & 1];
	host->vlan = key->vlan;
	host->scope = key->scope;
	host->zero = 0;
}

#endif
