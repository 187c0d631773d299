/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TCP packet as the parser describes it.
 */
#ifndef TCPWIN_PACKET_H
#define TCPWIN_PACKET_H

#include "flow_types.h"

struct tcpwin_packet {
	struct tcpwin_address source;
	struct tcpwin_address destination;
	__u32 bytes;   /* of the IP packet: its total length, or the frame's where that is 0 or too large */
	__u32 payload; /* bytes of TCP payload, in all segments */
	__u32 sequence;
	__u32 ack;          /* acknowledgement number, whether or not the flag is set */
	__u16 segments;     /* packets on the wire, see tcpwin_count_segments */
	__u16 checksum;     /* of TCP, as in the frame */
	__u16 header_bytes; /* of the IP and TCP headers */
	__u16 scope;        /* set by the caller, as hook */
	__u16 source_port;
	__u16 destination_port;
	__u16 vlan;   /* id of the innermost tag; 0: none */
	__u16 window; /* raw, never scaled */
	__u8 tcp_flags;
	__u8 window_scale;   /* of the option in a SYN, or TCPWIN_NO_, TCPWIN_UNKNOWN_WINDOW_SCALE */
	__u8 first_fragment; /* 1: more fragments follow, with this id */
	__u8 hook;           /* enum tcpwin_hook; 0: a capture */
	__u32 id;            /* of the IP header or of the fragment header; IPv6 without it: the flow label */
};

/* Initializes the fields that no header contains. */
TCPWIN_INLINE void tcpwin_start_packet(struct tcpwin_packet *packet, __u16 vlan)
{
	packet->vlan = vlan;
	packet->segments = 1;
	packet->scope = 0;
	packet->first_fragment = 0;
	packet->hook = 0;
}

/*
 * For a frame that segmentation or receive offload made of several TCP segments:
 * how many packets with how many bytes it is on the wire, each with its own
 * headers. gso_size: payload of each but the last; gso_segs: their number, or 0
 * if the sender left the counting to others (SKB_GSO_DODGY). At most 65535, as the kernel's own count.
 */
TCPWIN_INLINE void tcpwin_count_segments(struct tcpwin_packet *packet, __u32 gso_segs, __u32 gso_size)
{
	if (!gso_size || packet->payload <= gso_size)
		return;
	__u32 segments = gso_segs ? gso_segs : (packet->payload + gso_size - 1) / gso_size;
	packet->segments = segments < 0xffff ? (__u16)segments : 0xffff;
	packet->bytes += (packet->segments - 1U) * packet->header_bytes;
}

#endif
