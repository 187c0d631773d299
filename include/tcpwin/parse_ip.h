/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an IP header to the TCP header (RFC 791, RFC 8200, RFC 4302).
 */
#ifndef TCPWIN_PARSE_IP_H
#define TCPWIN_PARSE_IP_H

#include "counters.h"
#include "cursor.h"
#include "headers.h"
#include "packet.h"
#include "repeat.h"

#define TCPWIN_MAX_IPV6_EXTENSIONS 8
#define TCPWIN_MAX_IPV6_EXTENSION_BYTES 2048

/* declared: the IP packet's length. If 0 (segmentation offload, jumbogram) or beyond the frame, bytes are the frame's. */
TCPWIN_INLINE void tcpwin_bound_by_ip(struct tcpwin_cursor *cursor, struct tcpwin_packet *packet, __u32 declared)
{
	packet->bytes = declared != 0 && declared < cursor->left ? declared : cursor->left;
	cursor->left = declared ? declared : ~0U;
}

TCPWIN_INLINE void tcpwin_map_ipv4(struct tcpwin_address *address, const __u8 *at)
{
	__builtin_memset(address, 0, sizeof(*address));
	address->byte[10] = 0xff;
	address->byte[11] = 0xff;
	__builtin_memcpy(address->byte + 12, at, 4);
}

/* Moves the cursor to the TCP header. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ipv4(struct tcpwin_cursor *cursor, struct tcpwin_packet *packet)
{
	const __u8 *ip = cursor->pos;

	if (ip + sizeof(struct iphdr) > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	if (ip[0] >> 4 != 4)
		return TCPWIN_REJECT_IP_VERSION;

	__u32 header = (ip[0] & 0x0f) * 4;
	if (header < sizeof(struct iphdr))
		return TCPWIN_REJECT_IP_HEADER_LENGTH;
	if (*TCPWIN_FIELD(ip, iphdr, protocol) != IPPROTO_TCP)
		return TCPWIN_REJECT_NOT_TCP;

	tcpwin_bound_by_ip(cursor, packet, tcpwin_be16(TCPWIN_FIELD(ip, iphdr, tot_len)));
	if (cursor->left < header)
		return TCPWIN_REJECT_IP_LENGTH;
	if (ip + header > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	tcpwin_map_ipv4(&packet->source, TCPWIN_FIELD(ip, iphdr, saddr));
	tcpwin_map_ipv4(&packet->destination, TCPWIN_FIELD(ip, iphdr, daddr));

	__u16 fragment = tcpwin_be16(TCPWIN_FIELD(ip, iphdr, frag_off));
	packet->id = tcpwin_be16(TCPWIN_FIELD(ip, iphdr, id));
	if (fragment & TCPWIN_IPV4_OFFSET)
		return TCPWIN_REJECT_LATER_FRAGMENT;
	packet->first_fragment = (fragment & TCPWIN_IPV4_MORE) != 0;
	packet->header_bytes = (__u16)header;
	tcpwin_advance(cursor, header);
	return TCPWIN_ACCEPTED;
}

TCPWIN_INLINE int tcpwin_is_ipv6_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_AH || protocol == IPPROTO_DSTOPTS;
}

/* Bytes of the extension header of a protocol, by its second byte. */
TCPWIN_INLINE __u32 tcpwin_ipv6_extension_length(__u8 protocol, __u8 field)
{
	if (protocol == IPPROTO_FRAGMENT)
		return 8;
	if (protocol == IPPROTO_AH)
		return (field + 2) * 4; /* RFC 4302, 2.2 */
	return (field + 1) * 8;
}

/* Over the extension headers of an IPv6 packet. left: as in tcpwin_cursor, from the next header on. */
struct tcpwin_extension_walk {
	const __u8 *start;
	const __u8 *end;
	__u32 at;
	__u32 left;
	__u32 id;
	enum tcpwin_reject reject;
	__u8 protocol; /* of the next header */
	__u8 first_fragment;
};

/* Returns the reason to reject the packet, if it is a later fragment. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_take_fragment(struct tcpwin_extension_walk *walk, const __u8 *header)
{
	__u16 fragment = tcpwin_be16(header + TCPWIN_FRAGMENT_OFFSET);

	walk->id = (__u32)tcpwin_be16(header + TCPWIN_FRAGMENT_ID) << 16 | tcpwin_be16(header + TCPWIN_FRAGMENT_ID + 2);
	walk->first_fragment = fragment & TCPWIN_IPV6_MORE;
	if (!(fragment & TCPWIN_IPV6_OFFSET))
		return TCPWIN_ACCEPTED;
	return header[0] == IPPROTO_TCP || tcpwin_is_ipv6_extension(header[0]) ? TCPWIN_REJECT_LATER_FRAGMENT :
										 TCPWIN_REJECT_NOT_TCP;
}

/* Skips one extension header; 1: the walk is over. */
static inline long tcpwin_step_extension(__u32 index, struct tcpwin_extension_walk *walk)
{
	__u32 at = walk->at;
	__u8 kind = walk->protocol;

	(void)index;
	if (!tcpwin_is_ipv6_extension(kind))
		return 1;
	walk->reject = TCPWIN_REJECT_IP_LENGTH;
	if (walk->left < 8)
		return 1;
	walk->reject = TCPWIN_REJECT_IP_TRUNCATED;
	if (at > TCPWIN_MAX_IPV6_EXTENSIONS * TCPWIN_MAX_IPV6_EXTENSION_BYTES)
		return 1;
	const __u8 *header = walk->start + at;
	if (header + 8 > walk->end)
		return 1;
	walk->protocol = header[0];
	if (kind == IPPROTO_FRAGMENT) {
		walk->reject = tcpwin_take_fragment(walk, header);
		if (walk->reject)
			return 1;
	}

	__u32 length = tcpwin_ipv6_extension_length(kind, header[1]);
	walk->reject = TCPWIN_REJECT_IP_LENGTH;
	if (walk->left < length)
		return 1;
	walk->reject = TCPWIN_REJECT_IP_TRUNCATED;
	if (header + length > walk->end)
		return 1;
	walk->reject = TCPWIN_ACCEPTED;
	walk->at = at + length;
	walk->left -= length;
	return 0;
}

/* Sets protocol to the one after the extension headers, unless the packet is a later fragment. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_skip_ipv6_extensions(struct tcpwin_cursor *cursor, __u8 *protocol,
							     struct tcpwin_packet *packet)
{
	struct tcpwin_extension_walk walk = {cursor->pos, cursor->end,     0,         cursor->left,
					     packet->id,  TCPWIN_ACCEPTED, *protocol, 0};

	TCPWIN_REPEAT(TCPWIN_MAX_IPV6_EXTENSIONS, tcpwin_step_extension, &walk);
	packet->id = walk.id;
	packet->first_fragment = walk.first_fragment;
	if (walk.reject)
		return walk.reject;
	if (tcpwin_is_ipv6_extension(walk.protocol))
		return TCPWIN_REJECT_IPV6_EXTENSIONS;
	*protocol = walk.protocol;
	packet->header_bytes += walk.at;
	cursor->pos += walk.at;
	cursor->left = walk.left;
	return TCPWIN_ACCEPTED;
}

/* Moves the cursor behind the fixed header, and sets protocol to the one that follows. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ipv6_header(struct tcpwin_cursor *cursor, __u8 *protocol,
							  struct tcpwin_packet *packet)
{
	const __u8 *ip = cursor->pos;

	if (ip + sizeof(struct ipv6hdr) > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	if (ip[0] >> 4 != 6)
		return TCPWIN_REJECT_IP_VERSION;

	__u32 payload = tcpwin_be16(TCPWIN_FIELD(ip, ipv6hdr, payload_len));
	*protocol = *TCPWIN_FIELD(ip, ipv6hdr, nexthdr);
	tcpwin_bound_by_ip(cursor, packet, payload ? payload + sizeof(struct ipv6hdr) : 0);
	__builtin_memcpy(&packet->source, TCPWIN_FIELD(ip, ipv6hdr, saddr), 16);
	__builtin_memcpy(&packet->destination, TCPWIN_FIELD(ip, ipv6hdr, daddr), 16);

	packet->id = tcpwin_be32(ip) & TCPWIN_IPV6_FLOW_LABEL;
	packet->header_bytes = sizeof(struct ipv6hdr);
	tcpwin_advance(cursor, sizeof(struct ipv6hdr));
	return TCPWIN_ACCEPTED;
}

/* Moves the cursor to the TCP header. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ipv6(struct tcpwin_cursor *cursor, struct tcpwin_packet *packet)
{
	__u8 protocol;
	enum tcpwin_reject reject = tcpwin_parse_ipv6_header(cursor, &protocol, packet);

	if (!reject)
		reject = tcpwin_skip_ipv6_extensions(cursor, &protocol, packet);
	if (reject)
		return reject;
	return protocol == IPPROTO_TCP ? TCPWIN_ACCEPTED : TCPWIN_REJECT_NOT_TCP;
}

TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_network(struct tcpwin_cursor *cursor, __u16 ethertype,
						      struct tcpwin_packet *packet)
{
	enum tcpwin_reject reject = TCPWIN_REJECT_NOT_IP;

	if (ethertype == ETH_P_IP)
		reject = tcpwin_parse_ipv4(cursor, packet);
	else if (ethertype == ETH_P_IPV6)
		reject = tcpwin_parse_ipv6(cursor, packet);
	return reject;
}

#endif
