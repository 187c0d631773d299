/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: who made whom wait, for how long, and what the sequence and
 * acknowledgement numbers tell besides.
 *
 * A window that X sends describes X's receiver; who has to wait is its peer. So
 * a stall is X's, though its peer sends the probes. Windows count in segments
 * with ACK and without SYN, FIN and RST. Only a segment that is not old can
 * open or close an episode: one whose acknowledgement number goes back was
 * overtaken on its way.
 *
 * tcpwin_analyze has the way of nearly all packets: both endpoints known, the
 * segment the next one, no window closed. Everything else, and that too, is
 * told by tcpwin_analyze_any. Pure functions, as in flow.h.
 */
#ifndef TCPWIN_STALL_H
#define TCPWIN_STALL_H

#include "sequence.h"
#include "window.h"

/* One function in a BPF object, which the verifier looks at once; g++ may do as it likes. */
#ifdef __bpf__
#define TCPWIN_OUT_OF_LINE __attribute__((noinline))
#else
#define TCPWIN_OUT_OF_LINE static inline
#endif

TCPWIN_INLINE void tcpwin_begin_analysis(struct tcpwin_flow *flow)
{
	__builtin_memset(flow->progress, 0, sizeof(flow->progress));
	__builtin_memset(flow->analysis, 0, sizeof(flow->analysis));
	flow->progress[0].window_min = flow->progress[1].window_min = 0xffff;
}

/* A flow of a connection that the entry knows: counts begin at 0, what is known of numbers and windows stays. */
TCPWIN_INLINE void tcpwin_carry_on(struct tcpwin_flow *flow)
{
	const __u8 lasting = TCPWIN_KNOWN_ALL | TCPWIN_SYN_WINDOW;

	for (int i = 0; i < 2; i++) {
		struct tcpwin_progress *progress = &flow->progress[i];
		struct tcpwin_analysis *facts = &flow->analysis[i];
		__u8 scale = facts->scale, fin = facts->facts & TCPWIN_FACT_FIN;

		progress->known &= lasting;
		if (progress->known)
			progress->known |= TCPWIN_CARRIED;
		progress->duplicate_acks = 0;
		progress->payload_bytes = 0;
		progress->in_flight_max = 0;
		progress->window_min = 0xffff;
		progress->window_max = 0;
		__builtin_memset(facts, 0, sizeof(*facts));
		facts->scale = scale;
		facts->facts = fin;
	}
}

/* After the other steps: what they made of the segment is known then. */
TCPWIN_INLINE void tcpwin_finish_segment(const struct tcpwin_segment *x, enum tcpwin_shape shape)
{
	const struct tcpwin_packet *packet = x->packet;

	if (shape == TCPWIN_SHAPE_PLAIN && packet->payload && (x->peer->known & TCPWIN_KNOWN_ACK))
		tcpwin_note_flight(x->peer, &x->own->in_flight_max, &x->peer_facts->window_full,
				   packet->sequence + packet->payload);
	if (shape == TCPWIN_SHAPE_PROBE)
		x->peer->known |= TCPWIN_PROBED;
	if ((x->own->known & TCPWIN_STALLED) && (packet->sequence != x->end || shape != TCPWIN_SHAPE_PLAIN))
		x->peer->known |= TCPWIN_OWES_ACK;
}

/* Neither SYN nor RST. */
TCPWIN_INLINE void tcpwin_analyze_segment(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					  __u64 now)
{
	struct tcpwin_segment x = tcpwin_make_segment(flow, packet, from, now);
	enum tcpwin_shape shape = tcpwin_shape_of(&x);
	int next_one = shape != TCPWIN_SHAPE_KEEP_ALIVE && packet->sequence == x.own->next;

	if (packet->tcp_flags & TCPWIN_FLAG_ACK)
		tcpwin_note_handshake(&x);
	x = tcpwin_make_segment(flow, packet, from, now);
	if (shape == TCPWIN_SHAPE_PLAIN)
		tcpwin_note_sequence(&x);
	else if (shape == TCPWIN_SHAPE_KEEP_ALIVE)
		x.own_facts->keep_alives++;
	else
		x.peer_facts->probes++;
	x = tcpwin_make_segment(flow, packet, from, now);
	if (packet->tcp_flags & TCPWIN_FLAG_ACK) {
		tcpwin_note_zero_window(&x);
		x = tcpwin_make_segment(flow, packet, from, now);
		tcpwin_note_window(&x, next_one);
	}
	x = tcpwin_make_segment(flow, packet, from, now);
	tcpwin_finish_segment(&x, shape);
}

/* Another connection of the same endpoints: nothing that is known holds. */
TCPWIN_INLINE void tcpwin_forget(struct tcpwin_progress *progress, struct tcpwin_analysis *facts, __u64 now)
{
	tcpwin_end_stall(progress, facts, TCPWIN_STALL_END_RESET, now);
	progress->known = 0;
	progress->duplicate_acks = 0;
	facts->scale = 0;
	facts->facts &= ~TCPWIN_FACT_FIN;
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

TCPWIN_INLINE void tcpwin_begin_connection(const struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;
	int answers = packet->tcp_flags & TCPWIN_FLAG_ACK;
	int simultaneous = (x->peer->known & (TCPWIN_SYN_WINDOW | TCPWIN_KNOWN_ACK)) == TCPWIN_SYN_WINDOW;

	tcpwin_forget(x->own, x->own_facts, x->now);
	if (!answers && !simultaneous)
		tcpwin_forget(x->peer, x->peer_facts, x->now);
	if (answers && (x->peer->known & TCPWIN_SYN_PENDING) && packet->ack == x->peer->next)
		tcpwin_take_round_trip(x);
	x->peer->known &= ~TCPWIN_SYN_PENDING;
	x->own->next = x->end;
	x->own->next_ns = x->now;
	x->own->ack = packet->ack;
	x->own->window = packet->window;
	x->own->known = TCPWIN_KNOWN_SEQUENCE | TCPWIN_SYN_WINDOW | TCPWIN_SYN_PENDING;
	if (answers)
		x->own->known |= TCPWIN_KNOWN_ACK;
	x->own_facts->scale = tcpwin_offered_scale(packet);
}

/* A SYN that ends where the sender is already was sent before; no round trip can be told then (Karn). */
TCPWIN_INLINE void tcpwin_analyze_syn(struct tcpwin_flow *flow, struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;

	if ((x->own->known & TCPWIN_KNOWN_SEQUENCE) && x->own->next == x->end) {
		x->own_facts->retransmitted += packet->segments;
		x->own->known &= ~TCPWIN_SYN_PENDING;
		return;
	}
	tcpwin_begin_connection(x);
	int scaled = tcpwin_is_scaled(flow);
	for (int i = 0; i < 2; i++)
		flow->progress[i].shift = scaled ? (flow->analysis[i].scale - 1) & 0xf : 0;
}

/* What any packet says. Its result means nothing: BPF wants one. */
TCPWIN_OUT_OF_LINE int tcpwin_analyze_any(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 sender,
					  __u64 now)
{
	if (!flow || !packet)
		return 0;
	struct tcpwin_segment x = tcpwin_make_segment(flow, packet, sender, now);

	x.own->payload_bytes += packet->payload;
	if (packet->tcp_flags & TCPWIN_FLAG_RST) {
		tcpwin_end_stall(x.own, x.own_facts, TCPWIN_STALL_END_RESET, now);
		tcpwin_end_stall(x.peer, x.peer_facts, TCPWIN_STALL_END_RESET, now);
	} else if (packet->tcp_flags & TCPWIN_FLAG_SYN) {
		tcpwin_analyze_syn(flow, &x);
	} else {
		tcpwin_analyze_segment(flow, packet, sender, now);
	}
	tcpwin_note_stalled(flow);
	return 0;
}

/* Whether the few steps of tcpwin_analyze are all there is to do. */
TCPWIN_INLINE int tcpwin_is_usual(const struct tcpwin_progress *own, const struct tcpwin_progress *peer,
				  const struct tcpwin_packet *packet)
{
	const __u8 flags = TCPWIN_FLAG_ACK | TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST;

	if ((packet->tcp_flags & flags) != TCPWIN_FLAG_ACK || !packet->window || packet->sequence != own->next)
		return 0;
	if (own->known != TCPWIN_KNOWN_ALL || (peer->known && peer->known != TCPWIN_KNOWN_ALL))
		return 0;
	return packet->ack - own->ack <= TCPWIN_LARGEST_WINDOW;
}

/* The steps of tcpwin_analyze_any that a usual packet takes. */
TCPWIN_INLINE void tcpwin_analyze_usual(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
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
	if (peer->known)
		tcpwin_note_flight(peer, &own->in_flight_max, &flow->analysis[~from & 1].window_full, own->next);
}

TCPWIN_INLINE void tcpwin_analyze(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 sender, __u64 now)
{
	int usual = tcpwin_is_usual(&flow->progress[sender & 1], &flow->progress[~sender & 1], packet);

	TCPWIN_NEXT_STEP(sender);
	if (usual)
		tcpwin_analyze_usual(flow, packet, sender, now);
	else
		tcpwin_analyze_any(flow, packet, sender, now);
}

#endif
