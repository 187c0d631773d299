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

#include "parse.h"

/* One function in a BPF object, which the verifier looks at once; g++ may do as it likes. */
#ifdef __bpf__
#define TCPWIN_OUT_OF_LINE __attribute__((noinline))
#else
#define TCPWIN_OUT_OF_LINE static inline
#endif

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

/* Out of order rather than retransmitted, where the round trip is not known: Wireshark's 3 ms. */
#define TCPWIN_REORDERING_NS 3000000ULL

/* A segment, of one endpoint, and both. */
struct tcpwin_segment {
	const struct tcpwin_packet *packet;
	struct tcpwin_progress *own, *peer;
	struct tcpwin_analysis *own_facts, *peer_facts;
	__u64 now;
	__u32 end; /* sequence number after it */
};

enum tcpwin_shape {
	TCPWIN_SHAPE_PLAIN,
	TCPWIN_SHAPE_PROBE,
	TCPWIN_SHAPE_KEEP_ALIVE,
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

TCPWIN_INLINE int tcpwin_has_open_stall(const struct tcpwin_flow *flow)
{
	return (flow->progress[0].known | flow->progress[1].known) & TCPWIN_STALLED;
}

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

TCPWIN_INLINE void tcpwin_end_stall(struct tcpwin_progress *own, struct tcpwin_analysis *facts,
				    enum tcpwin_stall_end how, __u64 now)
{
	if (!(own->known & TCPWIN_STALLED))
		return;
	__u64 stalled = tcpwin_since(facts->stalled_since_ns, now);
	own->known &= ~(TCPWIN_STALLED | TCPWIN_PROBED);
	facts->stalled_ns += stalled;
	if (stalled > facts->longest_ns)
		facts->longest_ns = stalled;
	facts->ended = how;
}

/* The open episode counts up to last_ns, the flow's last packet. */
TCPWIN_INLINE __u64 tcpwin_open_stall_ns(const struct tcpwin_flow *flow, __u32 endpoint, __u64 last_ns)
{
	if (!(flow->progress[endpoint & 1].known & TCPWIN_STALLED))
		return 0;
	return tcpwin_since(flow->analysis[endpoint & 1].stalled_since_ns, last_ns);
}

/*
 * The peer's window is closed: does it ask for another? Either by the next byte
 * (RFC 9293, 3.8.6.1), or by nothing at a number that is acknowledged already
 * (Linux), as a keep-alive does where the window is open. Nothing at the next
 * number is an acknowledgement, unless there is nothing to acknowledge.
 */
TCPWIN_INLINE enum tcpwin_shape tcpwin_shape_of(const struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;
	const struct tcpwin_progress *own = x->own, *peer = x->peer;
	int closed = (peer->known & TCPWIN_STALLED) ||
		     ((peer->known & (TCPWIN_SYN_WINDOW | TCPWIN_CARRIED)) && !peer->window);

	if (!(own->known & TCPWIN_KNOWN_SEQUENCE) || packet->payload > 1 || (packet->tcp_flags & TCPWIN_FLAG_FIN))
		return TCPWIN_SHAPE_PLAIN;
	if (packet->sequence == own->next - 1)
		return closed ? TCPWIN_SHAPE_PROBE : TCPWIN_SHAPE_KEEP_ALIVE;
	if (!closed || packet->sequence != own->next)
		return TCPWIN_SHAPE_PLAIN;
	int unasked = (own->known & TCPWIN_KNOWN_ACK) && !(own->known & TCPWIN_OWES_ACK) &&
		      packet->ack == own->ack && packet->window == own->window;
	return packet->payload == 1 || unasked ? TCPWIN_SHAPE_PROBE : TCPWIN_SHAPE_PLAIN;
}

/*
 * Of a segment that goes back. As Wireshark tells them apart: what comes within
 * a round trip after the number that it should have come before was overtaken,
 * unless two acknowledgements asked for it.
 */
TCPWIN_INLINE int tcpwin_is_out_of_order(const struct tcpwin_segment *x)
{
	__u64 limit = TCPWIN_REORDERING_NS;

	if (x->own_facts->facts & x->peer_facts->facts & TCPWIN_FACT_RTT)
		limit = (__u64)x->own_facts->handshake_rtt_ns + x->peer_facts->handshake_rtt_ns;
	if (x->peer->duplicate_acks >= 2 && x->packet->sequence == x->peer->ack)
		return 0;
	return x->end != x->own->next && tcpwin_since(x->own->next_ns, x->now) < limit;
}

/* Follows the sequence number. Probes and keep-alives do not come here: they do not move it. */
TCPWIN_INLINE void tcpwin_note_sequence(const struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;
	struct tcpwin_progress *own = x->own;

	if (packet->tcp_flags & TCPWIN_FLAG_FIN)
		x->own_facts->facts |= TCPWIN_FACT_FIN;
	if ((own->known & TCPWIN_KNOWN_SEQUENCE) && !tcpwin_is_far(packet->sequence, own->next)) {
		if (packet->sequence != x->end && tcpwin_is_before(packet->sequence, own->next)) {
			if (tcpwin_is_out_of_order(x))
				x->own_facts->out_of_order += packet->segments;
			else
				x->own_facts->retransmitted += packet->segments;
		}
		if (!tcpwin_is_before(own->next, x->end))
			return;
	}
	own->known = (own->known | TCPWIN_KNOWN_SEQUENCE) & ~TCPWIN_SYN_PENDING;
	own->next = x->end;
	own->next_ns = x->now;
}

/*
 * Bytes in flight, and whether they fill the peer's window. Both as this point of the network sees it. end: sequence
 * number after the last byte of the segment; a FIN is no byte.
 */
TCPWIN_INLINE void tcpwin_note_flight(const struct tcpwin_progress *peer, __u32 *in_flight_max, __u32 *window_full,
				      __u32 end)
{
	__s32 in_flight = (__s32)(end - peer->ack);
	__s32 window = peer->window << (peer->known & TCPWIN_SYN_WINDOW ? 0 : peer->shift);

	if (in_flight > (__s32)*in_flight_max)
		*in_flight_max = in_flight;
	if (window && in_flight >= window)
		++*window_full;
}

/*
 * The window of a segment that is neither SYN nor RST and not old, against the
 * one before. Its right edge may go back by less than one unit of the scale:
 * that is rounding (RFC 7323, 2.4).
 */
TCPWIN_INLINE void tcpwin_compare_window(struct tcpwin_progress *own, struct tcpwin_analysis *facts,
					 const struct tcpwin_packet *packet, int pure)
{
	__u32 forward = packet->ack - own->ack;

	if (pure && packet->window && !forward)
		facts->window_updates++;
	if (packet->window < own->window && (__u32)(own->window - packet->window - 1) << own->shift >= forward)
		facts->window_shrinks++;
}

TCPWIN_INLINE void tcpwin_take_window(struct tcpwin_progress *own, __u16 window)
{
	own->window = window;
	if (window < own->window_min)
		own->window_min = window;
	if (window > own->window_max)
		own->window_max = window;
}

/* Between the peer's SYN and this answer. Nobody waits four seconds without sending the SYN again. */
TCPWIN_INLINE void tcpwin_take_round_trip(const struct tcpwin_segment *x)
{
	__u64 taken = tcpwin_since(x->peer->next_ns, x->now);

	if (taken >> 32)
		return;
	x->own_facts->handshake_rtt_ns = (__u32)taken;
	x->own_facts->facts |= TCPWIN_FACT_RTT;
}

/* The first segment after the peer's SYN-ACK ends the handshake. */
TCPWIN_INLINE void tcpwin_note_handshake(const struct tcpwin_segment *x)
{
	__u8 known = x->peer->known;

	if (!(known & TCPWIN_SYN_PENDING))
		return;
	x->peer->known &= ~TCPWIN_SYN_PENDING;
	if (!(known & TCPWIN_KNOWN_ACK) || x->packet->ack != x->peer->next)
		return;
	tcpwin_take_round_trip(x);
}

/* Opens, prolongs or closes the sender's episode. Nobody waits for it any more once it has the peer's FIN. */
TCPWIN_INLINE void tcpwin_note_stall(const struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;
	int has_fin = (x->peer_facts->facts & TCPWIN_FACT_FIN) && packet->ack == x->peer->next;

	if ((packet->tcp_flags & TCPWIN_FLAG_FIN) || (has_fin && !packet->window)) {
		tcpwin_end_stall(x->own, x->own_facts, TCPWIN_STALL_END_FIN, x->now);
	} else if (packet->window) {
		tcpwin_end_stall(x->own, x->own_facts, TCPWIN_STALL_END_RESUMED, x->now);
	} else if (!(x->own->known & TCPWIN_STALLED)) {
		x->own->known |= TCPWIN_STALLED;
		x->own_facts->stalled_since_ns = x->now;
		x->own_facts->episodes++;
	}
}

/* Counts a closed window, old or not, and whether it answers a probe. */
TCPWIN_INLINE void tcpwin_note_zero_window(const struct tcpwin_segment *x)
{
	const struct tcpwin_packet *packet = x->packet;

	if (!packet->window && !(packet->tcp_flags & TCPWIN_FLAG_FIN)) {
		x->own_facts->zero_windows += packet->segments;
		if ((x->own->known & TCPWIN_PROBED) && !packet->payload)
			x->own_facts->probe_answers++;
	}
	x->own->known &= ~(TCPWIN_PROBED | TCPWIN_OWES_ACK);
}

/* After a SYN-ACK, whose window is in bytes. */
TCPWIN_INLINE int tcpwin_is_first_update(const struct tcpwin_progress *own, const struct tcpwin_packet *packet, int pure)
{
	return pure && packet->ack == own->ack && packet->window && (__u32)packet->window << own->shift != own->window;
}

/* What a segment with ACK, neither SYN nor RST, says of the sender's receiver. */
TCPWIN_INLINE void tcpwin_note_window(const struct tcpwin_segment *x, int next_one)
{
	const struct tcpwin_packet *packet = x->packet;
	struct tcpwin_progress *own = x->own;
	int pure = next_one && !packet->payload && !(packet->tcp_flags & TCPWIN_FLAG_FIN);
	__u32 duplicates = 0;

	if ((own->known & TCPWIN_KNOWN_ACK) && !tcpwin_is_far(packet->ack, own->ack)) {
		if (tcpwin_is_before(packet->ack, own->ack))
			return; /* old */
		if (own->known & TCPWIN_SYN_WINDOW)
			x->own_facts->window_updates += tcpwin_is_first_update(own, packet, pure);
		else if (packet->window != own->window)
			tcpwin_compare_window(own, x->own_facts, packet, pure);
		else if (pure && packet->ack == own->ack)
			duplicates = own->duplicate_acks + 1;
	}
	own->duplicate_acks = duplicates;
	if ((own->known & TCPWIN_STALLED) && packet->ack == x->peer->next + 1)
		x->peer->next++; /* the byte of a probe was let in */
	tcpwin_note_stall(x);
	tcpwin_take_window(own, packet->window);
	own->ack = packet->ack;
	own->known = (own->known | TCPWIN_KNOWN_ACK) & ~(TCPWIN_SYN_WINDOW | TCPWIN_CARRIED);
}

/* from: 0 or 1, made anew so that no step has to keep more than it needs. */
TCPWIN_INLINE struct tcpwin_segment tcpwin_make_segment(struct tcpwin_flow *flow, const struct tcpwin_packet *packet,
							__u32 from, __u64 now)
{
	TCPWIN_NEXT_STEP(from);
	from &= 1;
	__u32 length = packet->payload + !!(packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_FIN));
	struct tcpwin_segment x = { packet, &flow->progress[from], &flow->progress[from ^ 1], &flow->analysis[from],
				    &flow->analysis[from ^ 1], now, packet->sequence + length };
	return x;
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
