/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parses the frame in the context of an XDP or tc program.
 */
#ifndef TCPWIN_FRAME_BPF_H
#define TCPWIN_FRAME_BPF_H

#include "maps.bpf.h"
#include <bpf/bpf_endian.h>

#define TCPWIN_REPEAT(count, step, context) bpf_loop(count, step, context, 0)
#include <tcpwin/parse.h>

#define MAX_TCP_OFFSET 0x7fff /* beyond eight IPv6 extension headers of full length */

/*
 * Plain frames are parsed inline: each call of a function or helper costs about
 * 5 ns, half as much as the parsing. All others go through global functions: the
 * verifier checks each once, and not again for every path through the headers
 * before it. There are two of them per hook, network and TCP, because the first
 * has many paths. They return 0 or enum tcpwin_reject.
 */
struct tcp_place {
	__u32 offset; /* in the frame */
	__u32 left;   /* as in tcpwin_cursor */
};

/* header: bytes before the IP header, 14 (Ethernet) or 0. */
static __always_inline int find_tcp(const __u8 *data, const __u8 *end, __u32 wire_length, __u32 header, __u16 ethertype,
				    __u16 vlan, struct tcpwin_packet *packet, struct tcp_place *place)
{
	struct tcpwin_cursor cursor = {data, end, wire_length};

	header &= 0xf;
	if (header) {
		if (data + ETH_HLEN > end)
			return TCPWIN_REJECT_ETHERNET_TRUNCATED;
		ethertype = tcpwin_be16(TCPWIN_FIELD(data, ethhdr, h_proto));
	}
	tcpwin_advance(&cursor, header);
	enum tcpwin_reject reject = tcpwin_find_tcp(&cursor, ethertype, vlan, packet);
	place->offset = cursor.pos - data;
	place->left = cursor.left;
	return reject;
}

static __always_inline int parse_tcp(const __u8 *data, const __u8 *end, const struct tcp_place *place,
				     struct tcpwin_packet *packet)
{
	__u32 offset = place->offset;

	if (offset > MAX_TCP_OFFSET)
		return TCPWIN_REJECT_TCP_TRUNCATED;
	struct tcpwin_cursor cursor = {data + offset, end, place->left};
	return tcpwin_parse_tcp(&cursor, packet);
}

#define DATA(context) ((const __u8 *)(long)(context)->data)
#define END(context) ((const __u8 *)(long)(context)->data_end)

__attribute__((noinline)) int find_tcp_xdp(struct xdp_md *ctx, __u32 wire_length, struct tcpwin_packet *packet,
					   struct tcp_place *place)
{
	if (!packet || !place)
		return TCPWIN_REJECT_NOT_IP;
	return find_tcp(DATA(ctx), END(ctx), wire_length, ETH_HLEN, 0, 0, packet, place);
}

__attribute__((noinline)) int parse_tcp_xdp(struct xdp_md *ctx, struct tcp_place *place, struct tcpwin_packet *packet)
{
	if (!packet || !place)
		return TCPWIN_REJECT_NOT_IP;
	return parse_tcp(DATA(ctx), END(ctx), place, packet);
}

__attribute__((noinline)) int find_tcp_skb(struct __sk_buff *skb, __u32 header, struct tcpwin_packet *packet,
					   struct tcp_place *place)
{
	__u16 vlan = skb->vlan_present ? skb->vlan_tci & 0x0fff : 0; /* at tc the outer tag is never in the frame */

	if (!packet || !place)
		return TCPWIN_REJECT_NOT_IP;
	return find_tcp(DATA(skb), END(skb), skb->len, header, bpf_ntohs(skb->protocol), vlan, packet, place);
}

__attribute__((noinline)) int parse_tcp_skb(struct __sk_buff *skb, struct tcp_place *place,
					    struct tcpwin_packet *packet)
{
	if (!packet || !place)
		return TCPWIN_REJECT_NOT_IP;
	return parse_tcp(DATA(skb), END(skb), place, packet);
}

/* Includes fragments outside the linear part. The helper is not called if the IP packet ends in the linear part. */
static __always_inline __u32 length_of_frame(struct xdp_md *ctx)
{
	const __u8 *data = DATA(ctx), *end = END(ctx), *ip = data + ETH_HLEN;
	__u32 linear = end - data;

	if (ip + 4 <= end && tcpwin_be16(TCPWIN_FIELD(data, ethhdr, h_proto)) == ETH_P_IP) {
		__u32 declared = tcpwin_be16(TCPWIN_FIELD(ip, iphdr, tot_len));
		if (declared && ETH_HLEN + declared <= linear)
			return linear;
	}
	return bpf_xdp_get_buff_len(ctx);
}

static __always_inline enum tcpwin_reject parse_xdp(struct xdp_md *ctx, __u32 length, struct tcpwin_packet *packet)
{
	struct tcpwin_cursor cursor = {DATA(ctx) + ETH_HLEN, END(ctx), length - ETH_HLEN};
	struct tcp_place place = {0};

	if (cursor.pos > cursor.end)
		return TCPWIN_REJECT_ETHERNET_TRUNCATED;
	__u16 ethertype = tcpwin_be16(TCPWIN_FIELD(DATA(ctx), ethhdr, h_proto));
	if (tcpwin_is_plain(&cursor, ethertype))
		return tcpwin_parse_plain(&cursor, ethertype, 0, packet);
	int reject = find_tcp_xdp(ctx, length, packet, &place);
	return (enum tcpwin_reject)(reject ? reject : parse_tcp_xdp(ctx, &place, packet));
}

static __always_inline enum tcpwin_reject parse_skb(struct __sk_buff *skb, __u32 header, struct tcpwin_packet *packet)
{
	struct tcp_place place = {0};
	int reject = find_tcp_skb(skb, header, packet, &place);

	return (enum tcpwin_reject)(reject ? reject : parse_tcp_skb(skb, &place, packet));
}

static __always_inline bool is_truncated(enum tcpwin_reject reject)
{
	return reject == TCPWIN_REJECT_ETHERNET_TRUNCATED || reject == TCPWIN_REJECT_IP_TRUNCATED ||
	       reject == TCPWIN_REJECT_TCP_TRUNCATED;
}

#endif
