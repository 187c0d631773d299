/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What holds a sender up: the receiver's window, the network, or its own
 * application. The terms are those of Linux's chronographs (tcp(7), TCP_INFO:
 * tcpi_busy_time, tcpi_rwnd_limited), as far as packets show them.
 *
 * A sender is busy while data is outstanding, or while data waits for a window.
 * Of that time, the receiver limits it while the window has no room for a segment:
 * from the segment that used up the room to the next one, if that follows within a
 * round trip after the window opened. A sender that stays silent for longer had
 * nothing to send, unless it probed the window. The network limits it for the rest
 * of the busy time, the application while nothing is outstanding between two data
 * segments.
 *
 * An acknowledgement that is seen here arrives at the sender later, and what it
 * sends in answer is seen a round trip between here and the sender later: so long
 * the sender is taken to be busy after its last acknowledgement. The same
 * transfer then has the same figures at any point of the network.
 *
 * Pure functions, as in flow.h.
 */
#ifndef TCPWIN_LIMITS_H
#define TCPWIN_LIMITS_H

#include "sequence.h"

/* Times are in units of 2^16 ns, 66 us, modulo 2^32: 78 hours. Sums of many short times are exact on average. */
#define TCPWIN_LIMITS_SHIFT 16
/* The start of a run is in units of 2^26 ns, 67 ms, modulo 2^16: 73 minutes. */
#define TCPWIN_RUN_SHIFT 26
#define TCPWIN_MAX_LIMITED_ALARM_NS TCPWIN_SECONDS(1800)

/* A sender reacts to a window within a round trip, but not faster than this. */
#define TCPWIN_LEAST_REACTION_NS 3000000ULL
/* What interrupts the receiver's limit for less does not end a run. */
#define TCPWIN_LEAST_BREAK_NS 100000000ULL

#define TCPWIN_LIMITS_SEGMENT 64 /* unit of tcpwin_limits.segment */

TCPWIN_INLINE __u32 tcpwin_limits_time(__u64 ns)
{
	return (__u32)(ns >> TCPWIN_LIMITS_SHIFT);
}

TCPWIN_INLINE void tcpwin_add_time(__u32 *sum, __u32 time)
{
	*sum = *sum + time < *sum ? ~0U : *sum + time;
}

/* The time between two clock readings, one of them possibly of another CPU. */
TCPWIN_INLINE __u32 tcpwin_limits_since(__u32 then, __u32 now)
{
	__u32 since = now - then;

	return since > (1U << 31) && since > ~0U - 256 ? 0 : since;
}

/* own sends, peer receives: what the window has room for after sequence number end. */
TCPWIN_INLINE __s32 tcpwin_room(const struct tcpwin_progress *peer, __u32 end)
{
	__u32 window = (__u32)peer->window << (peer->flags & TCPWIN_SYN_WINDOW ? 0 : peer->shift & 0xf);

	return (__s32)(peer->ack + window - end);
}

/*
 * The room below which a sender waits: one segment, at most half of the largest window that it was ever permitted
 * (RFC 9293, 3.8.6.2.1).
 */
TCPWIN_INLINE __s32 tcpwin_room_needed(const struct tcpwin_limits *limits, const struct tcpwin_progress *peer)
{
	__s32 segment = limits->segment * TCPWIN_LIMITS_SEGMENT;
	__s32 half = peer->window_min <= peer->window_max ? (peer->window_max << (peer->shift & 0xf)) / 2 :
							    peer->window / 2;

	if (segment > half)
		segment = half;
	return segment > 0 ? segment : 1;
}

TCPWIN_INLINE __u8 tcpwin_phase(const struct tcpwin_limits *limits)
{
	return limits->phase & TCPWIN_LIMITS_PHASE;
}

TCPWIN_INLINE void tcpwin_enter(struct tcpwin_limits *limits, enum tcpwin_limits_phase phase, __u32 now)
{
	limits->phase = (limits->phase & (TCPWIN_LIMITS_RUN | TCPWIN_LIMITS_ALARM)) | phase;
	limits->since = now;
}

/* The receiver has limited the sender without a break since start. */
TCPWIN_INLINE void tcpwin_prolong_run(struct tcpwin_limits *limits, __u32 start)
{
	if (limits->phase & TCPWIN_LIMITS_RUN)
		return;
	limits->phase |= TCPWIN_LIMITS_RUN;
	limits->run = (__u16)(start >> (TCPWIN_RUN_SHIFT - TCPWIN_LIMITS_SHIFT));
}

TCPWIN_INLINE void tcpwin_break_run(struct tcpwin_limits *limits)
{
	limits->phase &= ~(TCPWIN_LIMITS_RUN | TCPWIN_LIMITS_ALARM);
}

/* Round trip between here and the endpoint; 0: not known. */
TCPWIN_INLINE __u64 tcpwin_round_trip_to(const struct tcpwin_analysis *stats)
{
	return stats->flags & TCPWIN_ANALYSIS_RTT ? stats->handshake_rtt_ns : 0;
}

/* The time after which a sender that had something to send would have sent it. */
TCPWIN_INLINE __u32 tcpwin_reaction(const struct tcpwin_analysis *own_stats, const struct tcpwin_analysis *peer_stats)
{
	__u64 ns = tcpwin_round_trip_to(own_stats) + tcpwin_round_trip_to(peer_stats);

	return tcpwin_limits_time(ns > TCPWIN_LEAST_REACTION_NS ? ns : TCPWIN_LEAST_REACTION_NS) + 1;
}

/* Nothing was outstanding since idle: the sender's application, except for the way of the acknowledgement. */
TCPWIN_INLINE void tcpwin_add_idle(struct tcpwin_limits *limits, __u32 idle, __u32 on_its_way)
{
	__u32 travels = idle < on_its_way ? idle : on_its_way;

	tcpwin_add_time(&limits->network, travels);
	tcpwin_add_time(&limits->application, idle - travels);
	if (idle - travels > tcpwin_limits_time(TCPWIN_LEAST_BREAK_NS))
		tcpwin_break_run(limits);
}

/*
 * Ends the phase at a time: adds it to the sum that it belongs to. start: of the time without room. sends: whether the
 * sender has sent a segment now. The caller enters the next phase.
 */
TCPWIN_INLINE void tcpwin_end_phase(struct tcpwin_limits *limits, __u32 start, __u32 reaction, __u32 on_its_way,
				    int sends, __u32 now)
{
	__u8 phase = tcpwin_phase(limits);
	__u32 since = tcpwin_limits_since(limits->since, now), whole = tcpwin_limits_since(start, now);

	if (phase == TCPWIN_LIMITS_NETWORK) {
		tcpwin_add_time(&limits->network, since);
		if (since > reaction && since > tcpwin_limits_time(TCPWIN_LEAST_BREAK_NS))
			tcpwin_break_run(limits);
	} else if (phase == TCPWIN_LIMITS_IDLE) {
		tcpwin_add_idle(limits, since, on_its_way);
	} else if (phase == TCPWIN_LIMITS_RECEIVER || phase == TCPWIN_LIMITS_OPENED) {
		int waited = (limits->phase & TCPWIN_LIMITS_WAITING) ||
			     (sends && (phase == TCPWIN_LIMITS_RECEIVER ||
					tcpwin_limits_since(limits->opened, now) <= reaction));
		if (waited) {
			tcpwin_prolong_run(limits, start);
			tcpwin_add_time(&limits->receiver, whole);
		} else if (limits->phase & TCPWIN_LIMITS_ACKED) {
			tcpwin_add_time(&limits->network, whole - since);
			tcpwin_add_idle(limits, since, on_its_way);
		} else {
			tcpwin_add_time(&limits->network, whole);
		}
	}
}

#endif
