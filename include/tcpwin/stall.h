/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: which endpoint made the other wait, for how long, and what else
 * the sequence and acknowledgement numbers show.
 *
 * A window that X sends describes X's receiver; its peer has to wait. So the
 * stall belongs to X, though its peer sends the probes. Windows count in segments
 * with ACK and without SYN, FIN and RST. Stale segments neither open nor close an
 * episode: a segment whose acknowledgement number goes back was overtaken on its
 * way.
 *
 * tcpwin_judge decides whether a packet is part of the connection (acceptance.h,
 * duplicate.h); if so, tcpwin_analyze_slow analyzes it. tcpwin_analyze_fast does both
 * for nearly all packets: both endpoints known, the expected next segment, no window
 * closed. Pure functions, as in flow.h.
 */
#ifndef TCPWIN_STALL_H
#define TCPWIN_STALL_H

#include "acceptance.h"
#include "limits.h"
#include "sequence.h"
#include "window.h"

TCPWIN_INLINE void tcpwin_begin_analysis(struct tcpwin_flow *flow)
{
	__builtin_memset(flow->progress, 0, sizeof(flow->progress));
	__builtin_memset(flow->limits, 0, sizeof(flow->limits));
	__builtin_memset(flow->analysis, 0, sizeof(flow->analysis));
	flow->progress[0].window_min = flow->progress[1].window_min = 0xffff;
}

/* The next flow of the same connection: counts begin at 0, what is known of numbers and windows stays. */
TCPWIN_INLINE void tcpwin_carry_on(struct tcpwin_flow *flow)
{
	const __u16 lasting = TCPWIN_KNOWN_ALL | TCPWIN_SYN_WINDOW;

	__builtin_memset(flow->limits, 0, sizeof(flow->limits));
	for (int i = 0; i < 2; i++) {
		struct tcpwin_progress *progress = &flow->progress[i];
		struct tcpwin_analysis *stats = &flow->analysis[i];
		__u8 scale = stats->scale, ended = stats->flags & (TCPWIN_ANALYSIS_FIN | TCPWIN_ANALYSIS_RST);

		progress->flags &= lasting;
		if (progress->flags)
			progress->flags |= TCPWIN_CARRIED;
		progress->duplicate_acks = 0;
		progress->doubted = 0;
		progress->payload_bytes = 0;
		progress->in_flight_max = 0;
		progress->window_min = 0xffff;
		progress->window_max = 0;
		__builtin_memset(stats, 0, sizeof(*stats));
		stats->scale = scale;
		stats->flags = ended;
	}
}

/* The last step, because it needs the results of the others. */
TCPWIN_INLINE void tcpwin_finish_segment(const struct tcpwin_segment *segment, enum tcpwin_shape shape)
{
	const struct tcpwin_packet *packet = segment->packet;

	if (shape == TCPWIN_SHAPE_PLAIN && packet->payload && (segment->peer->flags & TCPWIN_KNOWN_ACK))
		tcpwin_note_flight(segment->peer, &segment->own->in_flight_max, &segment->peer_stats->window_full,
				   packet->sequence + packet->payload);
	if (shape == TCPWIN_SHAPE_PROBE)
		segment->peer->flags |= TCPWIN_PROBED;
	if ((segment->own->flags & TCPWIN_STALLED) && (packet->sequence != segment->end || shape != TCPWIN_SHAPE_PLAIN))
		segment->peer->flags |= TCPWIN_OWES_ACK;
}

/* Neither SYN nor RST. */
TCPWIN_INLINE void tcpwin_analyze_segment(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					  __u64 now)
{
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);
	enum tcpwin_shape shape = tcpwin_shape_of(&segment);
	int beyond = tcpwin_is_beyond(&segment);
	int next_one = shape != TCPWIN_SHAPE_KEEP_ALIVE && packet->sequence == segment.own->next;

	if (packet->tcp_flags & TCPWIN_FLAG_ACK) {
		tcpwin_note_handshake(&segment);
		segment = tcpwin_make_segment(flow, packet, from, now);
		tcpwin_note_closed_syn_window(&segment);
	}
	segment = tcpwin_make_segment(flow, packet, from, now);
	if (shape == TCPWIN_SHAPE_PLAIN)
		tcpwin_note_sequence(&segment);
	else if (shape == TCPWIN_SHAPE_KEEP_ALIVE)
		segment.own_stats->keep_alives++;
	else
		segment.peer_stats->probes++;
	segment = tcpwin_make_segment(flow, packet, from, now);
	if ((packet->tcp_flags & TCPWIN_FLAG_ACK) && !beyond) {
		tcpwin_note_zero_window(&segment);
		segment = tcpwin_make_segment(flow, packet, from, now);
		tcpwin_note_window(&segment, next_one);
	}
	segment = tcpwin_make_segment(flow, packet, from, now);
	tcpwin_finish_segment(&segment, shape);
}

/* The SYN of a connection: of a new one, or of the one whose SYN was seen before. */
TCPWIN_INLINE void tcpwin_take_syn(const struct tcpwin_segment *segment)
{
	segment->own->next = segment->end;
	segment->own->next_ns = segment->now;
	segment->own->window = segment->packet->window;
	segment->own->flags |= TCPWIN_KNOWN_SEQUENCE | TCPWIN_SYN_WINDOW;
}

TCPWIN_INLINE void tcpwin_begin_connection(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	int answers = packet->tcp_flags & TCPWIN_FLAG_ACK;
	int simultaneous = (segment->peer->flags & (TCPWIN_SYN_WINDOW | TCPWIN_KNOWN_ACK)) == TCPWIN_SYN_WINDOW;
	int ended = tcpwin_has_ended(segment->own_stats, segment->peer_stats);

	tcpwin_forget(segment->own, segment->own_stats, segment->now);
	if (ended || (!answers && !simultaneous))
		tcpwin_forget(segment->peer, segment->peer_stats, segment->now);
	if (answers && (segment->peer->flags & TCPWIN_SYN_PENDING) && packet->ack == segment->peer->next)
		tcpwin_take_round_trip(segment);
	segment->peer->flags &= ~TCPWIN_SYN_PENDING;
	tcpwin_take_syn(segment);
	segment->own->flags |= TCPWIN_SYN_PENDING;
	if (answers) {
		segment->own->ack = packet->ack;
		segment->own->flags |= TCPWIN_KNOWN_ACK;
	}
}

/* The answer was captured before it, so no round-trip time can be measured. */
TCPWIN_INLINE void tcpwin_take_late_syn(const struct tcpwin_segment *segment)
{
	if (!(segment->own->flags & TCPWIN_KNOWN_SEQUENCE))
		tcpwin_take_syn(segment);
	segment->own->flags &= ~TCPWIN_SYN_PENDING;
	segment->peer->flags &= ~TCPWIN_SYN_PENDING;
}

/*
 * For a SYN without RST. One that ends at the sender's position is a repetition; it makes the round-trip time ambiguous
 * (Karn). The return value of this function and the next has no meaning; BPF requires one.
 */
TCPWIN_OUT_OF_LINE int tcpwin_analyze_syn(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					  __u64 now)
{
	if (!flow || !packet)
		return 0;
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);

	segment.own->payload_bytes += packet->payload;
	if (tcpwin_is_late_syn(&segment)) {
		tcpwin_take_late_syn(&segment);
	} else if (tcpwin_is_repeated_syn(segment.own, segment.end)) {
		segment.own_stats->retransmitted += packet->segments;
		segment.own->flags &= ~TCPWIN_SYN_PENDING;
		return 0;
	} else {
		tcpwin_begin_connection(&segment);
	}
	segment = tcpwin_make_segment(flow, packet, from, now);
	segment.own_stats->scale = tcpwin_offered_scale(packet);
	int scaled = tcpwin_is_scaled(flow);
	for (int i = 0; i < 2; i++)
		flow->progress[i].shift = scaled ? (flow->analysis[i].scale - 1) & 0xf : 0;
	return 0;
}

/* For any other packet. */
TCPWIN_OUT_OF_LINE int tcpwin_analyze_other(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					    __u64 now)
{
	if (!flow || !packet)
		return 0;
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);

	segment.own->payload_bytes += packet->payload;
	if (packet->tcp_flags & TCPWIN_FLAG_RST) {
		segment.own_stats->flags |= TCPWIN_ANALYSIS_RST;
		tcpwin_end_stall(segment.own, segment.own_stats, TCPWIN_STALL_END_RESET, now);
		tcpwin_end_stall(segment.peer, segment.peer_stats, TCPWIN_STALL_END_RESET, now);
	} else {
		tcpwin_analyze_segment(flow, packet, from, now);
	}
	return 0;
}

/* For any packet that tcpwin_judge accepts. */
TCPWIN_INLINE void tcpwin_analyze_slow(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
				       __u64 now)
{
	tcpwin_note_sent(flow, packet, from, now);
	if ((packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST)) == TCPWIN_FLAG_SYN)
		tcpwin_analyze_syn(flow, packet, from, now);
	else
		tcpwin_analyze_other(flow, packet, from, now);
	tcpwin_note_acked(flow, from, now);
	tcpwin_note_stalled(flow);
}

/*
 * Whether tcpwin_analyze_fast does all that tcpwin_judge and tcpwin_analyze_slow would. A segment with payload at the
 * next number, or one that acknowledges something new, is no duplicate; but a probe, of one byte, does not move the
 * number.
 */
TCPWIN_INLINE int tcpwin_is_fast(const struct tcpwin_progress *own, const struct tcpwin_progress *peer,
				 const struct tcpwin_packet *packet)
{
	const __u8 flags = TCPWIN_FLAG_ACK | TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST;

	if ((packet->tcp_flags & flags) != TCPWIN_FLAG_ACK || !packet->window || packet->sequence != own->next)
		return 0;
	if (own->flags != TCPWIN_KNOWN_ALL || packet->ack - own->ack > TCPWIN_LARGEST_WINDOW || packet->payload == 1 ||
	    (!packet->payload && packet->ack == own->ack))
		return 0;
	if (!peer->flags)
		return 1;
	return peer->flags == TCPWIN_KNOWN_ALL && peer->next - packet->ack <= TCPWIN_LARGEST_WINDOW &&
	       !tcpwin_is_before(packet->sequence + packet->payload, peer->ack);
}

/* Instead of tcpwin_judge and tcpwin_analyze_slow, for a packet for which tcpwin_is_fast is true. */
TCPWIN_INLINE void tcpwin_analyze_fast(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
				       __u64 now)
{
	struct tcpwin_progress *own = &flow->progress[from & 1], *peer = &flow->progress[~from & 1];

	tcpwin_remember_segment(own, tcpwin_recent_entry(packet, now),
				tcpwin_was_silent(&flow->direction[from & 1], now));
	if (packet->window != own->window) {
		tcpwin_compare_window(own, &flow->analysis[from & 1], packet, !packet->payload);
		tcpwin_take_window(own, packet->window);
	}
	own->ack = packet->ack;
	own->duplicate_acks = 0;
	if (!tcpwin_is_acked_fast(&flow->limits[~from & 1], own, peer))
		tcpwin_note_acked(flow, from, now);
	if (!packet->payload)
		return;
	if (!tcpwin_is_sent_fast(&flow->limits[from & 1], peer, packet, now))
		tcpwin_note_sent(flow, packet, from, now);
	own->payload_bytes += packet->payload;
	own->next += packet->payload;
	own->next_ns = now;
	if (peer->flags)
		tcpwin_note_flight(peer, &own->in_flight_max, &flow->analysis[~from & 1].window_full, own->next);
}

#endif
