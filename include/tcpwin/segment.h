/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The input of the stall analysis: a segment, and what is known of its sender and
 * of the peer. Comparison of sequence numbers and times.
 */
#ifndef TCPWIN_SEGMENT_H
#define TCPWIN_SEGMENT_H

#include "packet.h"

/*
 * Separates two steps, so that no register lives across both: the registers of the
 * first do not fit beside those of the second, and BPF programs have little stack
 * to spill them to.
 */
#ifdef __bpf__
#define TCPWIN_NEXT_STEP(number) __asm__ volatile("" : "+r"(number) : : "memory")
#else
#define TCPWIN_NEXT_STEP(number) ((void)(number))
#endif

/* No window is larger (RFC 7323, 2.2): numbers further apart belong to another connection. */
#define TCPWIN_LARGEST_WINDOW (1U << 30)

/* A segment, its sender and the peer. */
struct tcpwin_segment {
	const struct tcpwin_packet *packet;
	struct tcpwin_progress *own, *peer;
	struct tcpwin_analysis *own_stats, *peer_stats;
	__u64 now;
	__u32 end; /* sequence number after it */
};

/* The clocks of two CPUs may differ: a difference is never negative. */
TCPWIN_INLINE __u64 tcpwin_since(__u64 then, __u64 now)
{
	return now > then ? now - then : 0;
}

TCPWIN_INLINE int tcpwin_is_before(__u32 left, __u32 right)
{
	return (__s32)(left - right) < 0;
}

TCPWIN_INLINE int tcpwin_is_far(__u32 left, __u32 right)
{
	return left - right + TCPWIN_LARGEST_WINDOW > 2 * TCPWIN_LARGEST_WINDOW;
}

/* The sequence number after a packet. */
TCPWIN_INLINE __u32 tcpwin_end_of(const struct tcpwin_packet *packet)
{
	return packet->sequence + packet->payload + !!(packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN));
}

/* from: 0 or 1. Each step makes the segment again, so that none has to keep more than it needs. */
TCPWIN_INLINE struct tcpwin_segment tcpwin_make_segment(struct tcpwin_flow *flow, const struct tcpwin_packet *packet,
							__u32 from, __u64 now)
{
	TCPWIN_NEXT_STEP(from);
	from &= 1;
	struct tcpwin_segment segment = {packet,
					 &flow->progress[from],
					 &flow->progress[from ^ 1],
					 &flow->analysis[from],
					 &flow->analysis[from ^ 1],
					 now,
					 tcpwin_end_of(packet)};
	return segment;
}

/* Whether the window of one endpoint, whose peer is other, may be scaled by an unknown shift. */
TCPWIN_INLINE int tcpwin_is_scale_unknown(const struct tcpwin_analysis *one, const struct tcpwin_analysis *other)
{
	return one->scale != TCPWIN_SCALE_NONE && other->scale != TCPWIN_SCALE_NONE && (!one->scale || !other->scale);
}

/* Whether a sequence number can be compared with what the sender has sent and the peer has acknowledged. */
TCPWIN_INLINE int tcpwin_has_positions(const struct tcpwin_segment *segment)
{
	return (segment->own->flags & TCPWIN_KNOWN_SEQUENCE) && (segment->peer->flags & TCPWIN_KNOWN_ACK);
}

/* A receiver drops a segment that ends before its last acknowledgement, with its window (Linux's tcp_sequence). */
TCPWIN_INLINE int tcpwin_is_old(const struct tcpwin_segment *segment)
{
	return tcpwin_has_positions(segment) && tcpwin_is_before(segment->end, segment->peer->ack);
}

#endif
