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
 * tcpwin_analyze has a fast path for nearly all packets: both endpoints known,
 * the expected next segment, no window closed. tcpwin_analyze_slow handles every
 * packet. Pure functions, as in flow.h.
 */
#ifndef TCPWIN_STALL_H
#define TCPWIN_STALL_H

#include "sequence.h"
#include "window.h"

TCPWIN_INLINE void tcpwin_begin_analysis(struct tcpwin_flow *flow)
{
	__builtin_memset(flow->progress, 0, sizeof(flow->progress));
	__builtin_memset(flow->analysis, 0, sizeof(flow->analysis));
	flow->progress[0].window_min = flow->progress[1].window_min = 0xffff;
}

/* The next flow of the same connection: counts begin at 0, what is known of numbers and windows stays. */
TCPWIN_INLINE void tcpwin_carry_on(struct tcpwin_flow *flow)
{
	const __u8 lasting = TCPWIN_KNOWN_ALL | TCPWIN_SYN_WINDOW;

	for (int i = 0; i < 2; i++) {
		struct tcpwin_progress *progress = &flow->progress[i];
		struct tcpwin_analysis *stats = &flow->analysis[i];
		__u8 scale = stats->scale, fin = stats->flags & TCPWIN_ANALYSIS_FIN;

		progress->flags &= lasting;
		if (progress->flags)
			progress->flags |= TCPWIN_CARRIED;
		progress->duplicate_acks = 0;
		progress->payload_bytes = 0;
		progress->in_flight_max = 0;
		progress->window_min = 0xffff;
		progress->window_max = 0;
		__builtin_memset(stats, 0, sizeof(*stats));
		stats->scale = scale;
		stats->flags = fin;
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
	int next_one = shape != TCPWIN_SHAPE_KEEP_ALIVE && packet->sequence == segment.own->next;

	if (packet->tcp_flags & TCPWIN_FLAG_ACK)
		tcpwin_note_handshake(&segment);
	segment = tcpwin_make_segment(flow, packet, from, now);
	if (shape == TCPWIN_SHAPE_PLAIN)
		tcpwin_note_sequence(&segment);
	else if (shape == TCPWIN_SHAPE_KEEP_ALIVE)
		segment.own_stats->keep_alives++;
	else
		segment.peer_stats->probes++;
	segment = tcpwin_make_segment(flow, packet, from, now);
	if (packet->tcp_flags & TCPWIN_FLAG_ACK) {
		tcpwin_note_zero_window(&segment);
		segment = tcpwin_make_segment(flow, packet, from, now);
		tcpwin_note_window(&segment, next_one);
	}
	segment = tcpwin_make_segment(flow, packet, from, now);
	tcpwin_finish_segment(&segment, shape);
}

/* Another connection of the same endpoints: nothing known is valid. */
TCPWIN_INLINE void tcpwin_forget(struct tcpwin_progress *progress, struct tcpwin_analysis *stats, __u64 now)
{
	tcpwin_end_stall(progress, stats, TCPWIN_STALL_END_RESET, now);
	progress->flags = 0;
	progress->duplicate_acks = 0;
	stats->scale = 0;
	stats->flags &= ~TCPWIN_ANALYSIS_FIN;
}

/* Windows are scaled if both SYNs had the option (RFC 7323, 2.2). */
TCPWIN_INLINE int tcpwin_is_scaled(const struct tcpwin_flow *flow)
{
	__u8 one = flow->analysis[0].scale, other = flow->analysis[1].scale;

	return one && other && one != TCPWIN_SCALE_NONE && other != TCPWIN_SCALE_NONE;
}

TCPWIN_INLINE __u8 tcpwin_offered_scale(const struct tcpwin_packet *packet)
{
	if (packet->window_scale == TCPWIN_UNKNOWN_WINDOW_SCALE)
		return 0;
	return packet->window_scale == TCPWIN_NO_WINDOW_SCALE ? TCPWIN_SCALE_NONE : packet->window_scale + 1;
}

TCPWIN_INLINE void tcpwin_begin_connection(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	int answers = packet->tcp_flags & TCPWIN_FLAG_ACK;
	int simultaneous = (segment->peer->flags & (TCPWIN_SYN_WINDOW | TCPWIN_KNOWN_ACK)) == TCPWIN_SYN_WINDOW;

	tcpwin_forget(segment->own, segment->own_stats, segment->now);
	if (!answers && !simultaneous)
		tcpwin_forget(segment->peer, segment->peer_stats, segment->now);
	if (answers && (segment->peer->flags & TCPWIN_SYN_PENDING) && packet->ack == segment->peer->next)
		tcpwin_take_round_trip(segment);
	segment->peer->flags &= ~TCPWIN_SYN_PENDING;
	segment->own->next = segment->end;
	segment->own->next_ns = segment->now;
	segment->own->ack = packet->ack;
	segment->own->window = packet->window;
	segment->own->flags = TCPWIN_KNOWN_SEQUENCE | TCPWIN_SYN_WINDOW | TCPWIN_SYN_PENDING;
	if (answers)
		segment->own->flags |= TCPWIN_KNOWN_ACK;
	segment->own_stats->scale = tcpwin_offered_scale(packet);
}

/* A SYN that ends at the sender's position is a repetition; it makes the round-trip time ambiguous (Karn). */
TCPWIN_INLINE void tcpwin_analyze_syn(struct tcpwin_flow *flow, struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;

	if ((segment->own->flags & TCPWIN_KNOWN_SEQUENCE) && segment->own->next == segment->end) {
		segment->own_stats->retransmitted += packet->segments;
		segment->own->flags &= ~TCPWIN_SYN_PENDING;
		return;
	}
	tcpwin_begin_connection(segment);
	int scaled = tcpwin_is_scaled(flow);
	for (int i = 0; i < 2; i++)
		flow->progress[i].shift = scaled ? (flow->analysis[i].scale - 1) & 0xf : 0;
}

/* For any packet. The return value has no meaning; BPF requires one. */
TCPWIN_OUT_OF_LINE int tcpwin_analyze_slow(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					   __u64 now)
{
	if (!flow || !packet)
		return 0;
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);

	segment.own->payload_bytes += packet->payload;
	if (packet->tcp_flags & TCPWIN_FLAG_RST) {
		tcpwin_end_stall(segment.own, segment.own_stats, TCPWIN_STALL_END_RESET, now);
		tcpwin_end_stall(segment.peer, segment.peer_stats, TCPWIN_STALL_END_RESET, now);
	} else if (packet->tcp_flags & TCPWIN_FLAG_SYN) {
		tcpwin_analyze_syn(flow, &segment);
	} else {
		tcpwin_analyze_segment(flow, packet, from, now);
	}
	tcpwin_note_stalled(flow);
	return 0;
}

/* Whether tcpwin_analyze_fast does all that tcpwin_analyze_slow would. */
TCPWIN_INLINE int tcpwin_is_fast(const struct tcpwin_progress *own, const struct tcpwin_progress *peer,
				 const struct tcpwin_packet *packet)
{
	const __u8 flags = TCPWIN_FLAG_ACK | TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST;

	if ((packet->tcp_flags & flags) != TCPWIN_FLAG_ACK || !packet->window || packet->sequence != own->next)
		return 0;
	if (own->flags != TCPWIN_KNOWN_ALL || (peer->flags && peer->flags != TCPWIN_KNOWN_ALL))
		return 0;
	return packet->ack - own->ack <= TCPWIN_LARGEST_WINDOW;
}

/* The steps of tcpwin_analyze_slow that remain for a packet for which tcpwin_is_fast is true. */
TCPWIN_INLINE void tcpwin_analyze_fast(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
				       __u64 now)
{
	struct tcpwin_progress *own = &flow->progress[from & 1], *peer = &flow->progress[~from & 1];
	int same = packet->ack == own->ack;

	if (packet->window != own->window) {
		tcpwin_compare_window(own, &flow->analysis[from & 1], packet, !packet->payload);
		tcpwin_take_window(own, packet->window);
		same = 0;
	}
	own->ack = packet->ack;
	if (!packet->payload) {
		own->duplicate_acks = same ? own->duplicate_acks + 1 : 0;
		return;
	}
	own->duplicate_acks = 0;
	own->payload_bytes += packet->payload;
	own->next += packet->payload;
	own->next_ns = now;
	if (peer->flags)
		tcpwin_note_flight(peer, &own->in_flight_max, &flow->analysis[~from & 1].window_full, own->next);
}

TCPWIN_INLINE void tcpwin_analyze(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	int fast = tcpwin_is_fast(&flow->progress[from & 1], &flow->progress[~from & 1], packet);

	TCPWIN_NEXT_STEP(from);
	if (fast)
		tcpwin_analyze_fast(flow, packet, from, now);
	else
		tcpwin_analyze_slow(flow, packet, from, now);
}

#endif
