/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the stall analysis looks at: a segment, and what is known of its sender
 * and of the peer. Comparing sequence numbers and times.
 */
#ifndef TCPWIN_SEGMENT_H
#define TCPWIN_SEGMENT_H

#include "parse.h"

/*
 * Between two steps: what the first has in registers does not fit beside what the
 * second needs, and BPF programs have little stack to keep it on.
 */
#ifdef __bpf__
#define TCPWIN_NEXT_STEP(number) __asm__ volatile("" : "+r"(number) : : "memory")
#else
#define TCPWIN_NEXT_STEP(number) ((void)(number))
#endif

/* No window is larger (RFC 7323, 2.2): numbers further apart are of another connection. */
#define TCPWIN_LARGEST_WINDOW (1U << 30)

/* A segment, of one endpoint, and both. */
struct tcpwin_segment {
	const struct tcpwin_packet *packet;
	struct tcpwin_progress *own, *peer;
	struct tcpwin_analysis *own_stats, *peer_stats;
	__u64 now;
	__u32 end; /* sequence number after it */
};

/* Clocks of two CPUs may differ: no time is negative. */
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

/* from: 0 or 1, made anew so that no step has to keep more than it needs. */
TCPWIN_INLINE struct tcpwin_segment tcpwin_make_segment(struct tcpwin_flow *flow, const struct tcpwin_packet *packet,
							__u32 from, __u64 now)
{
	TCPWIN_NEXT_STEP(from);
	from &= 1;
	__u32 length = packet->payload + !!(packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN));
	struct tcpwin_segment segment = {packet,
					 &flow->progress[from],
					 &flow->progress[from ^ 1],
					 &flow->analysis[from],
					 &flow->analysis[from ^ 1],
					 now,
					 packet->sequence + length};
	return segment;
}

#endif
