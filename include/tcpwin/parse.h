/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns the bytes of a frame into the description of a TCP packet, or returns a
 * named reason why that is not possible.
 *
 * Every load is bounded by what was captured (pos..end, in the form that the
 * BPF verifier follows: pos + n > end) and by the length that IP declares.
 * Sources: IEEE 802.1Q, and those of parse_ip.h and parse_tcp.h.
 */
#ifndef TCPWIN_PARSE_H
#define TCPWIN_PARSE_H

#include "parse_ip.h"
#include "parse_tcp.h"

#define TCPWIN_MAX_VLAN_TAGS 4

TCPWIN_INLINE int tcpwin_is_vlan(__u16 ethertype)
{
	return ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD || ethertype == ETH_P_QINQ1 ||
	       ethertype == ETH_P_QINQ2;
}

/*
 * Parses what follows an Ethernet type: VLAN tags, then IP. Moves the cursor to the TCP
 * header. vlan: id of a tag that was already removed from the frame, else 0.
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
		packet->vlan = tcpwin_be16(cursor->pos) & TCPWIN_VLAN_ID;
		ethertype = tcpwin_be16(cursor->pos + 2);
		tcpwin_advance(cursor, TCPWIN_VLAN_TAG);
	}
	if (tcpwin_is_vlan(ethertype))
		return TCPWIN_REJECT_VLAN_DEPTH;
	return tcpwin_parse_network(cursor, ethertype, packet);
}

/*
 * Nearly all frames are plain: they have no VLAN tag and no IPv6 extension
 * header. Their few paths through the parser are inline in the BPF programs;
 * other frames cost several calls.
 */
TCPWIN_INLINE int tcpwin_is_plain(const struct tcpwin_cursor *cursor, __u16 ethertype)
{
	const __u8 *ip = cursor->pos;

	if (ethertype == ETH_P_IP)
		return 1;
	return ethertype == ETH_P_IPV6 && ip + sizeof(struct ipv6hdr) <= cursor->end &&
	       *TCPWIN_FIELD(ip, ipv6hdr, nexthdr) == IPPROTO_TCP;
}

/* As tcpwin_parse_ethertype, for a plain frame. */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_plain(struct tcpwin_cursor *cursor, __u16 ethertype, __u16 vlan,
						    struct tcpwin_packet *packet)
{
	__u8 protocol;

	tcpwin_start_packet(packet, vlan);
	enum tcpwin_reject reject = ethertype == ETH_P_IP ? tcpwin_parse_ipv4(cursor, packet) :
							    tcpwin_parse_ipv6_header(cursor, &protocol, packet);
	return reject ? reject : tcpwin_parse_tcp(cursor, packet);
}

/*
 * tcpwin_find_tcp, then tcpwin_parse_tcp. Fills the whole packet, or returns the
 * reason to reject it; packet is then undefined, except that for a later fragment
 * addresses, vlan, bytes, segments and id are valid.
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
 * without checksum (at least end - data). vlan and result: see tcpwin_parse_ethertype.
 */
TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_ethernet(const __u8 *data, const __u8 *end, __u32 wire_length, __u16 vlan,
						       struct tcpwin_packet *packet)
{
	struct tcpwin_cursor cursor = {data, end, wire_length};

	if (data + ETH_HLEN > end)
		return TCPWIN_REJECT_ETHERNET_TRUNCATED;
	tcpwin_advance(&cursor, ETH_HLEN);
	return tcpwin_parse_ethertype(&cursor, tcpwin_be16(TCPWIN_FIELD(data, ethhdr, h_proto)), vlan, packet);
}

#endif
