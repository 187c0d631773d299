/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What holds a sender up: the receiver's window, the network, or its own
 * application. The terms are those of Linux's chronographs (tcp(7), TCP_INFO:
 * tcpi_busy_time, tcpi_rwnd_limited), as far as packets show them.
 *
 * A sender is busy while data is outstanding, or while data waits for a window.
 * Of that time, the receiver limits it while the window has no room for a segment:
 * from the segment that used up the room to the next one, if that follows within
 * one and a half round trips after the window opened. A sender that stays silent for longer had
 * nothing to send, unless it probed the window. The network limits it for the rest
 * of the busy time, the application while nothing is outstanding between two data
 * segments.
 *
 * Far from the sender, data and acknowledgements under way are not seen. There
 * the window is taken as it was one round trip before, between here and the sender
 * (tcpwin_note_far).
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

#include "acceptance.h"
#include "sequence.h"

/* Times are in units of 2^16 ns, 66 us, modulo 2^32: 78 hours. Sums of many short times are exact on average. */
#define TCPWIN_LIMITS_SHIFT 16
/* The start of a run is in units of 2^26 ns, 67 ms, modulo 2^16: 73 minutes. */
#define TCPWIN_RUN_SHIFT 26
#define TCPWIN_MAX_LIMITED_ALARM_NS TCPWIN_SECONDS(1800)

/* A sender uses a window within a round trip, give or take a half; a shorter one than this is not measured. */
#define TCPWIN_LEAST_REACTION_NS 3000000ULL
/* What interrupts the receiver's limit for less does not end a run. */
#define TCPWIN_LEAST_BREAK_NS 100000000ULL

#define TCPWIN_LIMITS_SEGMENT 64 /* unit of tcpwin_limits.segment */
#define TCPWIN_LIMITS_FAR_TIME 4 /* a shorter round trip to the sender is none, in units of tcpwin_limits_time */

TCPWIN_INLINE __u32 tcpwin_limits_time(__u64 ns)
{
	return (__u32)(ns >> TCPWIN_LIMITS_SHIFT);
}

TCPWIN_INLINE void tcpwin_add_time(__u32 *sum, __u32 time)
{
	*sum = *sum + time < *sum ? ~0U : *sum + time;
}

/*
 * The time from then to now, at most 58 hours. 0 if now is before then: another CPU's clock, or a capture whose clock
 * went back.
 */
TCPWIN_INLINE __u32 tcpwin_limits_since(__u32 then, __u32 now)
{
	__u32 since = now - then;

	return since < 3U << 30 ? since : 0;
}

/* What the receiver's window has room for after sequence number end. */
TCPWIN_INLINE __s32 tcpwin_room(const struct tcpwin_progress *receiver, __u32 end)
{
	__u8 shift = receiver->flags & TCPWIN_SYN_WINDOW ? 0 : receiver->shift & 0xf;

	return (__s32)(receiver->ack + ((__u32)receiver->window << shift) - end);
}

/*
 * The room below which a sender waits: one segment, at most half of the largest window that it was ever permitted
 * (RFC 9293, 3.8.6.2.1).
 */
TCPWIN_INLINE __s32 tcpwin_room_needed(const struct tcpwin_limits *limits, const struct tcpwin_progress *receiver)
{
	__s32 segment = limits->segment * TCPWIN_LIMITS_SEGMENT;
	__s32 largest = receiver->window_min <= receiver->window_max ? receiver->window_max << (receiver->shift & 0xf) :
								       receiver->window;

	if (segment > largest / 2)
		segment = largest / 2;
	return segment > 0 ? segment : 1;
}

/* Whether the window has room for a segment after end, as far as is known. */
TCPWIN_INLINE int tcpwin_has_room(const struct tcpwin_limits *limits, const struct tcpwin_progress *receiver,
				  const struct tcpwin_analysis *receivers, const struct tcpwin_analysis *senders,
				  __u32 end)
{
	if (!(receiver->flags & TCPWIN_KNOWN_ACK))
		return 1;
	if (tcpwin_is_scale_unknown(receivers, senders))
		return receiver->window != 0;
	return tcpwin_room(receiver, end) >= tcpwin_room_needed(limits, receiver);
}

TCPWIN_INLINE enum tcpwin_limits_phase tcpwin_phase(const struct tcpwin_limits *limits)
{
	return (enum tcpwin_limits_phase)(limits->phase & TCPWIN_LIMITS_PHASE);
}

TCPWIN_INLINE void tcpwin_enter(struct tcpwin_limits *limits, enum tcpwin_limits_phase phase, __u32 now)
{
	limits->phase = (limits->phase & TCPWIN_LIMITS_LASTING) | phase;
	limits->since = now;
}

TCPWIN_INLINE void tcpwin_prolong_run(struct tcpwin_limits *limits, __u32 start)
{
	if (limits->phase & TCPWIN_LIMITS_RUN)
		return;
	limits->phase |= TCPWIN_LIMITS_RUN;
	limits->run = (__u16)(start >> (TCPWIN_RUN_SHIFT - TCPWIN_LIMITS_SHIFT));
}

TCPWIN_INLINE void tcpwin_break_run(struct tcpwin_limits *limits, __u32 break_)
{
	if (break_ > tcpwin_limits_time(TCPWIN_LEAST_BREAK_NS))
		limits->phase &= ~(TCPWIN_LIMITS_RUN | TCPWIN_LIMITS_ALARM);
}

/* since: when this time began. */
TCPWIN_INLINE void tcpwin_add_busy(struct tcpwin_limits *limits, __u32 since, __u32 time)
{
	if (!(limits->phase & TCPWIN_LIMITS_FAR)) {
		tcpwin_add_time(&limits->network, time);
		return;
	}
	tcpwin_prolong_run(limits, since);
	tcpwin_add_time(&limits->receiver, time);
}

/* Nothing has been outstanding for this time: for round_trip because of the way of the acknowledgement. */
TCPWIN_INLINE void tcpwin_add_idle(struct tcpwin_limits *limits, __u32 time, __u32 round_trip)
{
	__u32 busy = time < round_trip ? time : round_trip;

	tcpwin_add_busy(limits, limits->since, busy);
	tcpwin_add_time(&limits->application, time - busy);
	tcpwin_break_run(limits, time - busy);
}

/* What is needed to end a phase, in units of tcpwin_limits_time. */
struct tcpwin_moment {
	__u32 now;
	__u32 sent;       /* when the last new segment was sent */
	__u32 round_trip; /* between here and the sender */
	__u32 reaction;   /* within this time a sender uses a window that opened */
};

TCPWIN_INLINE struct tcpwin_moment tcpwin_make_moment(const struct tcpwin_progress *own,
						      const struct tcpwin_analysis *own_stats,
						      const struct tcpwin_analysis *peer_stats, __u64 now)
{
	__u64 to_own = own_stats->flags & TCPWIN_ANALYSIS_RTT ? own_stats->handshake_rtt_ns : 0;
	__u64 to_peer = peer_stats->flags & TCPWIN_ANALYSIS_RTT ? peer_stats->handshake_rtt_ns : 0;
	__u64 whole = to_own + to_peer > TCPWIN_LEAST_REACTION_NS ? to_own + to_peer : TCPWIN_LEAST_REACTION_NS;
	struct tcpwin_moment moment = {tcpwin_limits_time(now), tcpwin_limits_time(own->next_ns),
				       tcpwin_limits_time(to_own), tcpwin_limits_time(whole + whole / 2) + 1};

	return moment;
}

/*
 * Adds the present phase up to now to the sum that it belongs to. used: the sender has used the window that opened, or
 * is known to wait for it. The caller enters the next phase.
 */
TCPWIN_INLINE void tcpwin_end_phase(struct tcpwin_limits *limits, const struct tcpwin_moment *moment, int used)
{
	__u32 since = tcpwin_limits_since(limits->since, moment->now);
	__u32 start = limits->phase & TCPWIN_LIMITS_ACKED ? moment->sent : limits->since;
	__u32 whole = tcpwin_limits_since(start, moment->now);

	switch (tcpwin_phase(limits)) {
	case TCPWIN_LIMITS_IDLE:
		tcpwin_add_idle(limits, since, moment->round_trip);
		break;
	case TCPWIN_LIMITS_NETWORK:
		tcpwin_add_busy(limits, limits->since, since);
		if (since > moment->reaction && !(limits->phase & TCPWIN_LIMITS_FAR))
			tcpwin_break_run(limits, since);
		break;
	case TCPWIN_LIMITS_RECEIVER:
	case TCPWIN_LIMITS_OPENED:
		if (used) {
			tcpwin_prolong_run(limits, start);
			tcpwin_add_time(&limits->receiver, whole);
		} else if (limits->phase & TCPWIN_LIMITS_ACKED) {
			tcpwin_add_busy(limits, start, whole > since ? whole - since : 0);
			tcpwin_add_idle(limits, since, moment->round_trip);
		} else {
			tcpwin_add_busy(limits, start, whole);
		}
		break;
	default:
		break;
	}
}

TCPWIN_INLINE void tcpwin_note_segment_size(struct tcpwin_limits *limits, const struct tcpwin_packet *packet)
{
	__u32 size = packet->payload / (packet->segments ? packet->segments : 1) / TCPWIN_LIMITS_SEGMENT;

	if (size > limits->segment)
		limits->segment = size < 0xff ? (__u8)size : 0xff;
}

/* Whether a window that opened was used in time; for a segment of the sender. */
TCPWIN_INLINE int tcpwin_is_used(const struct tcpwin_limits *limits, const struct tcpwin_moment *moment)
{
	return (limits->phase & TCPWIN_LIMITS_WAITING) || tcpwin_phase(limits) == TCPWIN_LIMITS_RECEIVER ||
	       tcpwin_limits_since(limits->opened, moment->now) <= moment->reaction;
}

/*
 * For a segment with data that ends at end, at a point that is round_trip from the sender: what the sender used when it
 * sent this segment is the window as it was here a round trip before. Looks once per round trip; what it finds is valid
 * until the next look. The segments that a window permits do not arrive at one moment, so an eighth of it may be left.
 * The phase is NETWORK.
 */
TCPWIN_INLINE void tcpwin_note_far(struct tcpwin_limits *limits, const struct tcpwin_progress *receiver, __u32 end,
				   const struct tcpwin_moment *moment)
{
	__u32 age = moment->now - limits->edge_time, round_trip = moment->round_trip;
	__s32 window = tcpwin_room(receiver, receiver->ack), needed = tcpwin_room_needed(limits, receiver);

	if (round_trip < TCPWIN_LIMITS_FAR_TIME || age < round_trip)
		return;
	if (needed < window / 8)
		needed = window / 8;
	int far = age <= round_trip + round_trip / 2 && (__s32)(limits->edge - end) < needed;
	if (far != !!(limits->phase & TCPWIN_LIMITS_FAR)) {
		tcpwin_end_phase(limits, moment, 0);
		limits->since = moment->now;
		limits->phase ^= TCPWIN_LIMITS_FAR;
	}
	limits->edge = receiver->ack + window;
	limits->edge_time = moment->now;
}

/* What a packet means for the time that its sender has to wait. */
enum tcpwin_sending {
	TCPWIN_SENDS_NOTHING,
	TCPWIN_SENDS_DATA,
	TCPWIN_SENDS_FIN, /* alone */
	TCPWIN_SENDS_PROBE,
	TCPWIN_SENDS_SYN, /* of another connection */
};

TCPWIN_INLINE enum tcpwin_sending tcpwin_what_is_sent(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	const struct tcpwin_progress *own = segment->own;

	if (packet->tcp_flags & TCPWIN_FLAG_RST)
		return TCPWIN_SENDS_NOTHING;
	if (packet->tcp_flags & TCPWIN_FLAG_SYN)
		return tcpwin_is_repeated_syn(own, segment->end) ? TCPWIN_SENDS_NOTHING : TCPWIN_SENDS_SYN;
	if (tcpwin_shape_of(segment) != TCPWIN_SHAPE_PLAIN)
		return TCPWIN_SENDS_PROBE;
	if ((own->flags & TCPWIN_KNOWN_SEQUENCE) && !tcpwin_is_far(segment->end, own->next) &&
	    !tcpwin_is_before(own->next, segment->end))
		return TCPWIN_SENDS_NOTHING;
	if (packet->payload)
		return TCPWIN_SENDS_DATA;
	return packet->tcp_flags & TCPWIN_FLAG_FIN ? TCPWIN_SENDS_FIN : TCPWIN_SENDS_NOTHING;
}

/* Data waits for the window. A keep-alive means this only if the window has no room. */
TCPWIN_INLINE void tcpwin_note_waiting(struct tcpwin_limits *limits, const struct tcpwin_progress *receiver,
				       const struct tcpwin_moment *moment)
{
	enum tcpwin_limits_phase phase = tcpwin_phase(limits);

	if (phase != TCPWIN_LIMITS_RECEIVER) {
		if (receiver->window || phase == TCPWIN_LIMITS_OPENED)
			return;
		tcpwin_end_phase(limits, moment, 0);
		tcpwin_enter(limits, TCPWIN_LIMITS_RECEIVER, moment->now);
	}
	if (limits->phase & TCPWIN_LIMITS_ACKED)
		limits->since = moment->sent;
	limits->phase = (limits->phase & ~TCPWIN_LIMITS_ACKED) | TCPWIN_LIMITS_WAITING;
	tcpwin_prolong_run(limits, limits->since);
}

/* For a segment with new data: whether there is nothing to note. */
TCPWIN_INLINE int tcpwin_is_sent_fast(const struct tcpwin_limits *limits, const struct tcpwin_progress *receiver,
				      const struct tcpwin_packet *packet, __u64 now)
{
	__u32 segment = limits->segment * TCPWIN_LIMITS_SEGMENT;

	return tcpwin_phase(limits) == TCPWIN_LIMITS_NETWORK &&
	       (!limits->edge_time || tcpwin_limits_time(now) - limits->edge_time < TCPWIN_LIMITS_FAR_TIME) &&
	       packet->payload < (segment + TCPWIN_LIMITS_SEGMENT) * packet->segments &&
	       tcpwin_room(receiver, packet->sequence + packet->payload) >= (__s32)segment;
}

/* The same for what a packet acknowledges. */
TCPWIN_INLINE int tcpwin_is_acked_fast(const struct tcpwin_limits *limits, const struct tcpwin_progress *receiver,
				       const struct tcpwin_progress *sender)
{
	enum tcpwin_limits_phase phase = tcpwin_phase(limits);

	return phase < TCPWIN_LIMITS_NETWORK || (phase == TCPWIN_LIMITS_NETWORK && receiver->ack != sender->next);
}

/*
 * For a packet that is part of the connection, before its sequence number is noted. The return value of this function
 * and the next has no meaning; BPF requires one.
 */
TCPWIN_OUT_OF_LINE int tcpwin_note_sent(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					__u64 now)
{
	if (!flow || !packet)
		return 0;
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);
	enum tcpwin_sending sending = tcpwin_what_is_sent(&segment);
	struct tcpwin_limits *limits = &flow->limits[from & 1];
	struct tcpwin_moment moment;

	if (sending == TCPWIN_SENDS_NOTHING ||
	    (sending == TCPWIN_SENDS_DATA && tcpwin_is_sent_fast(limits, segment.peer, packet, now)))
		return 0;
	segment = tcpwin_make_segment(flow, packet, from, now);
	moment = tcpwin_make_moment(segment.own, segment.own_stats, segment.peer_stats, now);
	if (sending == TCPWIN_SENDS_PROBE) {
		tcpwin_note_waiting(limits, segment.peer, &moment);
		return 0;
	}
	int goes_on = sending != TCPWIN_SENDS_SYN && tcpwin_phase(limits) == TCPWIN_LIMITS_NETWORK;
	if (!goes_on && (sending != TCPWIN_SENDS_FIN || tcpwin_phase(limits) != TCPWIN_LIMITS_IDLE))
		tcpwin_end_phase(limits, &moment, tcpwin_is_used(limits, &moment));
	if (sending == TCPWIN_SENDS_SYN) {
		limits->phase = TCPWIN_LIMITS_NONE;
		limits->edge_time = 0;
		return 0;
	}
	if (!goes_on)
		tcpwin_enter(limits, TCPWIN_LIMITS_NETWORK, moment.now);
	tcpwin_note_segment_size(limits, packet);
	if ((segment.peer->flags & TCPWIN_KNOWN_ACK) && !tcpwin_is_scale_unknown(segment.own_stats, segment.peer_stats))
		tcpwin_note_far(limits, segment.peer, segment.end, &moment);
	if (tcpwin_has_room(limits, segment.peer, segment.peer_stats, segment.own_stats, segment.end))
		return 0;
	if (goes_on)
		tcpwin_end_phase(limits, &moment, 0);
	tcpwin_enter(limits, TCPWIN_LIMITS_RECEIVER, moment.now);
	return 0;
}

/* For a packet that is part of the connection, after its acknowledgement number and window were noted. */
TCPWIN_OUT_OF_LINE int tcpwin_note_acked(struct tcpwin_flow *flow, __u32 from, __u64 now)
{
	if (!flow)
		return 0;
	from &= 1;
	const struct tcpwin_progress *receiver = &flow->progress[from], *sender = &flow->progress[from ^ 1];
	const struct tcpwin_analysis *receivers = &flow->analysis[from], *senders = &flow->analysis[from ^ 1];
	struct tcpwin_limits *limits = &flow->limits[from ^ 1];
	enum tcpwin_limits_phase phase = tcpwin_phase(limits);

	if (tcpwin_is_acked_fast(limits, receiver, sender) || !(receiver->flags & TCPWIN_KNOWN_ACK))
		return 0;
	struct tcpwin_moment moment = tcpwin_make_moment(sender, senders, receivers, now);
	int acked = !tcpwin_is_before(receiver->ack, sender->next);
	int room = tcpwin_has_room(limits, receiver, receivers, senders, sender->next);

	if (phase == TCPWIN_LIMITS_NETWORK) {
		if (!acked)
			return 0;
		if (room) {
			tcpwin_end_phase(limits, &moment, 0);
			tcpwin_enter(limits, TCPWIN_LIMITS_IDLE, moment.now);
			return 0;
		}
		/* The last segment used up what turns out to be all. */
		tcpwin_add_busy(limits, limits->since, tcpwin_limits_since(limits->since, moment.sent));
		tcpwin_enter(limits, TCPWIN_LIMITS_RECEIVER, moment.now);
		limits->phase |= TCPWIN_LIMITS_ACKED;
		return 0;
	}
	if (acked && !(limits->phase & (TCPWIN_LIMITS_ACKED | TCPWIN_LIMITS_WAITING))) {
		limits->phase |= TCPWIN_LIMITS_ACKED;
		limits->since = moment.now;
	}
	if (phase == TCPWIN_LIMITS_RECEIVER && room) {
		limits->phase += TCPWIN_LIMITS_OPENED - TCPWIN_LIMITS_RECEIVER;
		limits->opened = moment.now;
	} else if (phase == TCPWIN_LIMITS_OPENED && !room) {
		limits->phase -= TCPWIN_LIMITS_OPENED - TCPWIN_LIMITS_RECEIVER;
	}
	return 0;
}

/* The limits of an endpoint up to now, the present phase included. */
TCPWIN_INLINE struct tcpwin_limits tcpwin_limits_at(const struct tcpwin_flow *flow, __u32 endpoint, __u64 now)
{
	endpoint &= 1;
	struct tcpwin_limits limits = flow->limits[endpoint];
	struct tcpwin_moment moment = tcpwin_make_moment(&flow->progress[endpoint], &flow->analysis[endpoint],
							 &flow->analysis[endpoint ^ 1], now);
	int waits = (limits.phase & TCPWIN_LIMITS_WAITING) ||
		    ((limits.phase & TCPWIN_LIMITS_RUN) && tcpwin_phase(&limits) == TCPWIN_LIMITS_RECEIVER);

	tcpwin_end_phase(&limits, &moment, waits);
	limits.application = flow->limits[endpoint].application; /* what follows the last data segment is no limit */
	return limits;
}

/* How long the receiver has limited the endpoint without a break; 0: it does not. */
TCPWIN_INLINE __u64 tcpwin_run_ns(const struct tcpwin_limits *limits, __u64 now)
{
	__u16 age = (__u16)((now >> TCPWIN_RUN_SHIFT) - limits->run);

	return (limits->phase & TCPWIN_LIMITS_RUN) && age < 0xc000 ? (__u64)age << TCPWIN_RUN_SHIFT : 0;
}

/*
 * The endpoints that a receiver has limited for long enough for an alarm, which this run has not raised yet: bit i for
 * endpoint i. alarm_ns: 0 means never.
 */
TCPWIN_INLINE __u32 tcpwin_limits_due(const struct tcpwin_flow *flow, __u64 alarm_ns, __u64 now)
{
	__u32 due = 0;

	if (!((flow->limits[0].phase | flow->limits[1].phase) & TCPWIN_LIMITS_RUN) || !alarm_ns)
		return 0;
	for (int i = 0; i < 2; i++) {
		const struct tcpwin_limits *limits = &flow->limits[i];
		if (!(limits->phase & TCPWIN_LIMITS_ALARM) && tcpwin_run_ns(limits, now) >= alarm_ns)
			due |= 1U << i;
	}
	return due;
}

#endif
