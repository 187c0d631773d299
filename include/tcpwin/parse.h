/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the bytes of a frame to the description of a TCP packet, or the named
 * reason why there is none.
 *
 * Every load is bounded by what was captured (pos..end, in the form that the
 * BPF verifier follows: pos + n > end) and by the length that IP declares.
 * Sources: IEEE 802.1Q, RFC 791, RFC 8200, RFC 4302 (AH), RFC 9293, RFC 7323.
 */
#ifndef TCPWIN_PARSE_H
#define TCPWIN_PARSE_H

#include "types.h"

#define TCPWIN_MAX_VLAN_TAGS 4
#define TCPWIN_MAX_IPV6_EXTENSIONS 8

struct tcpwin_packet {
	struct tcpwin_address source;
	struct tcpwin_address destination;
	__u32 bytes;    /* of the IP packet: its total length, or the frame's where that is 0 or too large */
	__u32 segments; /* packets on the wire, see tcpwin_count_segments */
	__u32 payload;  /* bytes of TCP payload, in all segments */
	__u32 sequence;
	__u32 ack;          /* acknowledgement number, whether or not the flag is set */
	__u16 header_bytes; /* of the IP and TCP headers */
	__u16 scope;        /* set by the caller, as hook */
	__u16 source_port;
	__u16 destination_port;
	__u16 vlan;   /* id of the innermost tag, 0: none */
	__u16 window; /* raw, never scaled */
	__u8 tcp_flags;
	__u8 window_scale;   /* of the option in a SYN, TCPWIN_NO_ or TCPWIN_UNKNOWN_WINDOW_SCALE */
	__u8 first_fragment; /* 1: more fragments follow, with fragment_id */
	__u8 hook;           /* enum tcpwin_hook, 0: a capture */
	__u32 fragment_id;
};

/*
 * What is still to be parsed: pos..end was captured; left is how much the frame
 * had from pos on when it was on the wire, and from the IP header on how much
 * the IP packet has as it declares. So a frame that ends early is told from an
 * IP length that is too small.
 */
struct tcpwin_cursor {
	const __u8 *pos;
	const __u8 *end;
	__u32 left;
};

/* A 16-bit field in network order at any alignment. */
TCPWIN_INLINE __u16 tcpwin_be16(const __u8 *at)
{
#ifdef __bpf__
	/* One load; the byte-wise load that clang makes of the portable form costs three instructions more. */
	return __builtin_bswap16(*(const __u16 *)at);
#else
	return (__u16)(at[0] << 8 | at[1]);
#endif
}

TCPWIN_INLINE __u32 tcpwin_be32(const __u8 *at)
{
#ifdef __bpf__
	return __builtin_bswap32(*(const __u32 *)at);
#else
	return (__u32)tcpwin_be16(at) << 16 | tcpwin_be16(at + 2);
#endif
}

enum {
	TCPWIN_ETHERNET_HEADER = 14,
	TCPWIN_VLAN_TAG = 4,
	TCPWIN_IPV4_HEADER = 20,
	TCPWIN_IPV6_HEADER = 40,
	TCPWIN_TCP_HEADER = 20,
	TCPWIN_ETHERTYPE_IPV4 = 0x0800,
	TCPWIN_ETHERTYPE_IPV6 = 0x86dd,
	TCPWIN_PROTOCOL_HOPOPTS = 0,
	TCPWIN_PROTOCOL_TCP = 6,
	TCPWIN_PROTOCOL_ROUTING = 43,
	TCPWIN_PROTOCOL_FRAGMENT = 44,
	TCPWIN_PROTOCOL_AH = 51,
	TCPWIN_PROTOCOL_DSTOPTS = 60,
	TCPWIN_OPTION_END = 0,
	TCPWIN_OPTION_NOP = 1,
	TCPWIN_OPTION_WINDOW_SCALE = 3,
	TCPWIN_MAX_WINDOW_SCALE = 14, /* RFC 7323, 2.3 */
	TCPWIN_MAX_TCP_OPTIONS = 40,
};

TCPWIN_INLINE int tcpwin_is_vlan(__u16 ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100 || ethertype == 0x9200;
}

/* Skip n captured bytes. */
TCPWIN_INLINE void tcpwin_advance(struct tcpwin_cursor *cursor, __u32 n)
{
	cursor->pos += n;
	cursor->left = cursor->left > n ? cursor->left - n : 0;
}

/*
 * How to call step(index, context) until it returns non-zero, count times at
 * most. The BPF programs define it as bpf_loop: written out, the walk over the
 * options takes the verifier over a million instructions.
 */
#ifndef TCPWIN_REPEAT
#define TCPWIN_REPEAT(count, step, context)                        \
	do {                                                       \
		for (__u32 index_ = 0; index_ < (count); index_++) \
			if (step(index_, context))                 \
				break;                             \
	} while (0)
#endif

struct tcpwin_option_walk {
	const __u8 *options;
	const __u8 *end;
	__u32 length;
	__u32 at;
	__u8 window_scale;
};

/* The frame ends inside the options: what was not captured may be the option. */
TCPWIN_INLINE long tcpwin_cut_options(struct tcpwin_option_walk *walk)
{
	if (walk->window_scale == TCPWIN_NO_WINDOW_SCALE)
		walk->window_scale = TCPWIN_UNKNOWN_WINDOW_SCALE;
	return 1;
}

/* Looks at one TCP option; 1: the walk is over. */
static inline long tcpwin_step_option(__u32 index, struct tcpwin_option_walk *walk)
{
	__u32 at = walk->at;

	(void)index;
	if (at >= walk->length || at >= TCPWIN_MAX_TCP_OPTIONS)
		return 1;
	const __u8 *option = walk->options + at;
	if (option + 1 > walk->end)
		return tcpwin_cut_options(walk);
	if (option[0] == TCPWIN_OPTION_END)
		return 1;
	if (option[0] == TCPWIN_OPTION_NOP) {
		walk->at = at + 1;
		return 0;
	}
	if (at + 2 > walk->length)
		return 1;
	if (option + 2 > walk->end)
		return tcpwin_cut_options(walk);
	if (option[1] < 2)
		return 1;
	/* The last one counts, as in Linux's tcp_parse_options. */
	if (option[0] == TCPWIN_OPTION_WINDOW_SCALE && option[1] == 3 && at + 3 <= walk->length) {
		if (option + 3 > walk->end)
			return tcpwin_cut_options(walk);
		walk->window_scale = option[2] > TCPWIN_MAX_WINDOW_SCALE ? (__u8)TCPWIN_MAX_WINDOW_SCALE : option[2];
	}
	walk->at = at + option[1];
	return 0;
}

/* The shift of the window-scale option (RFC 7323), at most 14, or as tcpwin_packet has it. */
TCPWIN_INLINE __u8 tcpwin_find_window_scale(const __u8 *options, const __u8 *end, __u32 length)
{
	struct tcpwin_option_walk walk = {options, end, length, 0, TCPWIN_NO_WINDOW_SCALE};

	TCPWIN_REPEAT(TCPWIN_MAX_TCP_OPTIONS, tcpwin_step_option, &walk);
	return walk.window_scale;
}

TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_tcp(const struct tcpwin_cursor *cursor, struct tcpwin_packet *packet)
{
	const __u8 *tcp = cursor->pos;
	__u32 ip_left = cursor->left;

	if (ip_left < TCPWIN_TCP_HEADER)
		return TCPWIN_REJECT_IP_LENGTH;
	if (tcp + TCPWIN_TCP_HEADER > cursor->end)
		return TCPWIN_REJECT_TCP_TRUNCATED;

	__u32 header = (tcp[12] >> 4) * 4;
	if (header < TCPWIN_TCP_HEADER)
		return TCPWIN_REJECT_TCP_DATA_OFFSET;

	packet->header_bytes += header;
	packet->source_port = tcpwin_be16(tcp);
	packet->destination_port = tcpwin_be16(tcp + 2);
	packet->tcp_flags = tcp[13];
	packet->window = tcpwin_be16(tcp + 14);
	packet->sequence = tcpwin_be32(tcp + 4);
	packet->ack = tcpwin_be32(tcp + 8);
	packet->payload = packet->bytes > packet->header_bytes ? packet->bytes - packet->header_bytes : 0;
	packet->window_scale = TCPWIN_NO_WINDOW_SCALE;
	if (packet->tcp_flags & TCPWIN_FLAG_SYN) {
		__u32 bound = header < ip_left ? header : ip_left;
		packet->window_scale =
			tcpwin_find_window_scale(tcp + TCPWIN_TCP_HEADER, cursor->end, bound - TCPWIN_TCP_HEADER);
	}
	return TCPWIN_ACCEPTED;
}

/* Declared: the IP packet's length; 0 (segmentation offload, jumbogram) or beyond the frame: bytes are the frame's. */
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

	if (ip + TCPWIN_IPV4_HEADER > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	if (ip[0] >> 4 != 4)
		return TCPWIN_REJECT_IP_VERSION;

	__u32 header = (ip[0] & 0x0f) * 4;
	if (header < TCPWIN_IPV4_HEADER)
		return TCPWIN_REJECT_IP_HEADER_LENGTH;
	if (ip[9] != TCPWIN_PROTOCOL_TCP)
		return TCPWIN_REJECT_NOT_TCP;

	tcpwin_bound_by_ip(cursor, packet, tcpwin_be16(ip + 2));
	if (cursor->left < header)
		return TCPWIN_REJECT_IP_LENGTH;
	if (ip + header > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	tcpwin_map_ipv4(&packet->source, ip + 12);
	tcpwin_map_ipv4(&packet->destination, ip + 16);

	__u16 fragment = tcpwin_be16(ip + 6);
	packet->fragment_id = tcpwin_be16(ip + 4);
	if (fragment & 0x1fff)
		return TCPWIN_REJECT_LATER_FRAGMENT;
	packet->first_fragment = (fragment & 0x2000) != 0;
	packet->header_bytes = (__u16)header;
	tcpwin_advance(cursor, header);
	return TCPWIN_ACCEPTED;
}

TCPWIN_INLINE int tcpwin_is_ipv6_extension(__u8 protocol)
{
	return protocol == TCPWIN_PROTOCOL_HOPOPTS || protocol == TCPWIN_PROTOCOL_ROUTING ||
	       protocol == TCPWIN_PROTOCOL_FRAGMENT || protocol == TCPWIN_PROTOCOL_AH ||
	       protocol == TCPWIN_PROTOCOL_DSTOPTS;
}

/*
 * 0, but the verifier does not see it. It keeps a packet pointer plus a constant
 * apart from one plus a variable, and would follow every combination of fragment
 * and other extension headers, 2^8 of them behind each number of VLAN tags.
 */
TCPWIN_INLINE __u32 tcpwin_opaque_zero(__u32 any)
{
#ifdef __bpf__
	__u32 same = any;
	__asm__ volatile("%0 -= %1" : "+r"(same) : "r"(any));
	return same & 0xff;
#else
	(void)any;
	return 0;
#endif
}

/* Of the extension header of a protocol, by its second byte. */
TCPWIN_INLINE __u32 tcpwin_ipv6_extension_length(__u8 protocol, __u8 field)
{
	if (protocol == TCPWIN_PROTOCOL_FRAGMENT)
		return 8 + tcpwin_opaque_zero(field);
	if (protocol == TCPWIN_PROTOCOL_AH)
		return (field + 2) * 4; /* RFC 4302, 2.2 */
	return (field + 1) * 8;
}

/* Puts the protocol after the extension headers into protocol, unless the packet is a later fragment. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_skip_ipv6_extensions(struct tcpwin_cursor *cursor, __u8 *protocol,
							     struct tcpwin_packet *packet)
{
#ifdef __clang__
#pragma clang loop unroll(full)
#endif
	for (int i = 0; i < TCPWIN_MAX_IPV6_EXTENSIONS; i++) {
		const __u8 *extension = cursor->pos;
		__u8 kind = *protocol;

		if (!tcpwin_is_ipv6_extension(kind))
			return TCPWIN_ACCEPTED;
		if (cursor->left < 8)
			return TCPWIN_REJECT_IP_LENGTH;
		if (extension + 8 > cursor->end)
			return TCPWIN_REJECT_IP_TRUNCATED;
		*protocol = extension[0];
		if (kind == TCPWIN_PROTOCOL_FRAGMENT) {
			__u16 fragment = tcpwin_be16(extension + 2);
			packet->fragment_id = (__u32)tcpwin_be16(extension + 4) << 16 | tcpwin_be16(extension + 6);
			if (fragment & 0xfff8)
				return *protocol == TCPWIN_PROTOCOL_TCP || tcpwin_is_ipv6_extension(*protocol) ?
					       TCPWIN_REJECT_LATER_FRAGMENT :
					       TCPWIN_REJECT_NOT_TCP;
			packet->first_fragment = fragment & 1;
		}

		__u32 length = tcpwin_ipv6_extension_length(kind, extension[1]);
		if (cursor->left < length)
			return TCPWIN_REJECT_IP_LENGTH;
		if (extension + length > cursor->end)
			return TCPWIN_REJECT_IP_TRUNCATED;
		packet->header_bytes += length;
		tcpwin_advance(cursor, length);
	}
	return tcpwin_is_ipv6_extension(*protocol) ? TCPWIN_REJECT_IPV6_EXTENSIONS : TCPWIN_ACCEPTED;
}

/* Moves the cursor behind the fixed header, and puts the protocol of what follows into protocol. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ipv6_header(struct tcpwin_cursor *cursor, __u8 *protocol,
							  struct tcpwin_packet *packet)
{
	const __u8 *ip = cursor->pos;

	if (ip + TCPWIN_IPV6_HEADER > cursor->end)
		return TCPWIN_REJECT_IP_TRUNCATED;
	if (ip[0] >> 4 != 6)
		return TCPWIN_REJECT_IP_VERSION;

	__u32 payload = tcpwin_be16(ip + 4);
	*protocol = ip[6];
	tcpwin_bound_by_ip(cursor, packet, payload ? payload + TCPWIN_IPV6_HEADER : 0);
	__builtin_memcpy(&packet->source, ip + 8, 16);
	__builtin_memcpy(&packet->destination, ip + 24, 16);

	packet->header_bytes = TCPWIN_IPV6_HEADER;
	tcpwin_advance(cursor, TCPWIN_IPV6_HEADER);
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
	return protocol == TCPWIN_PROTOCOL_TCP ? TCPWIN_ACCEPTED : TCPWIN_REJECT_NOT_TCP;
}

TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_network(struct tcpwin_cursor *cursor, __u16 ethertype,
						      struct tcpwin_packet *packet)
{
	enum tcpwin_reject reject = TCPWIN_REJECT_NOT_IP;

	if (ethertype == TCPWIN_ETHERTYPE_IPV4)
		reject = tcpwin_parse_ipv4(cursor, packet);
	else if (ethertype == TCPWIN_ETHERTYPE_IPV6)
		reject = tcpwin_parse_ipv6(cursor, packet);
	return reject;
}

/* What no header tells. */
TCPWIN_INLINE void tcpwin_start_packet(struct tcpwin_packet *packet, __u16 vlan)
{
	packet->vlan = vlan;
	packet->segments = 1;
	packet->scope = 0;
	packet->first_fragment = 0;
	packet->hook = 0;
}

/*
 * What follows an Ethernet type: VLAN tags, then IP; moves the cursor to the TCP
 * header. vlan: id of a tag that was taken off the frame, else 0.
 */
TCPWIN_INLINE enum tcpwin_reject tcpwin_find_tcp(struct tcpwin_cursor *cursor, __u16 ethertype, __u16 vlan,
						 struct tcpwin_packet *packet)
{
	tcpwin_start_packet(packet, vlan);
#ifdef __clang__
#pragma clang loop unroll(full)
#endif
	for (int i = 0; i < TCPWIN_MAX_VLAN_TAGS; i++) {
		if (!tcpwin_is_vlan(ethertype))
			break;
		if (cursor->pos + TCPWIN_VLAN_TAG > cursor->end)
			return TCPWIN_REJECT_ETHERNET_TRUNCATED;
		packet->vlan = tcpwin_be16(cursor->pos) & 0x0fff;
		ethertype = tcpwin_be16(cursor->pos + 2);
		tcpwin_advance(cursor, TCPWIN_VLAN_TAG);
	}
	if (tcpwin_is_vlan(ethertype))
		return TCPWIN_REJECT_VLAN_DEPTH;
	return tcpwin_parse_network(cursor, ethertype, packet);
}

/*
 * Nearly all frames: no VLAN tag and no IPv6 extension header. They have few ways through the parser, so that the BPF
 * programs have them inline, where the others cost several calls.
 */
TCPWIN_INLINE int tcpwin_is_plain(const struct tcpwin_cursor *cursor, __u16 ethertype)
{
	const __u8 *ip = cursor->pos;

	if (ethertype == TCPWIN_ETHERTYPE_IPV4)
		return 1;
	return ethertype == TCPWIN_ETHERTYPE_IPV6 && ip + TCPWIN_IPV6_HEADER <= cursor->end &&
	       ip[6] == TCPWIN_PROTOCOL_TCP;
}

/* As tcpwin_parse_ethertype, for a plain frame. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_plain(struct tcpwin_cursor *cursor, __u16 ethertype, __u16 vlan,
						    struct tcpwin_packet *packet)
{
	__u8 protocol;

	tcpwin_start_packet(packet, vlan);
	enum tcpwin_reject reject = ethertype == TCPWIN_ETHERTYPE_IPV4 ?
					    tcpwin_parse_ipv4(cursor, packet) :
					    tcpwin_parse_ipv6_header(cursor, &protocol, packet);
	return reject ? reject : tcpwin_parse_tcp(cursor, packet);
}

/*
 * As tcpwin_find_tcp, and TCP. Fills the whole packet, or returns why it is none;
 * packet is then undefined, but for a later fragment: addresses, vlan, bytes,
 * segments and fragment_id are then valid.
 */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ethertype(struct tcpwin_cursor *cursor, __u16 ethertype, __u16 vlan,
							struct tcpwin_packet *packet)
{
	if (tcpwin_is_plain(cursor, ethertype))
		return tcpwin_parse_plain(cursor, ethertype, vlan, packet);
	enum tcpwin_reject reject = tcpwin_find_tcp(cursor, ethertype, vlan, packet);

	return reject ? reject : tcpwin_parse_tcp(cursor, packet);
}

/*
 * An Ethernet frame. data..end was captured, wire_length is the frame's length
 * without checksum (at least end - data). vlan and result as tcpwin_parse_ethertype.
 */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ethernet(const __u8 *data, const __u8 *end, __u32 wire_length, __u16 vlan,
						       struct tcpwin_packet *packet)
{
	struct tcpwin_cursor cursor = {data, end, wire_length};

	if (data + TCPWIN_ETHERNET_HEADER > end)
		return TCPWIN_REJECT_ETHERNET_TRUNCATED;
	tcpwin_advance(&cursor, TCPWIN_ETHERNET_HEADER);
	return tcpwin_parse_ethertype(&cursor, tcpwin_be16(data + 12), vlan, packet);
}

/*
 * For a frame that segmentation or receive offload made one of several TCP
 * segments: how many packets with how many bytes it is on the wire, each with
 * headers of its own. gso_size: payload of each but the last; gso_segs: how
 * many, or 0 if the sender left it to others to count (SKB_GSO_DODGY).
 */
TCPWIN_INLINE void tcpwin_count_segments(struct tcpwin_packet *packet, __u32 gso_segs, __u32 gso_size)
{
	if (!gso_size || packet->payload <= gso_size)
		return;
	packet->segments = gso_segs ? gso_segs : (packet->payload + gso_size - 1) / gso_size;
	packet->bytes += (packet->segments - 1) * packet->header_bytes;
}

#endif
