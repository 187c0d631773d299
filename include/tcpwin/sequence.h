/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: what sequence and acknowledgement numbers say about a segment
 * and about the data in flight. Pure functions, as in flow.h.
 */
#ifndef TCPWIN_SEQUENCE_H
#define TCPWIN_SEQUENCE_H

#include "window.h"

/* Limit for out of order rather than retransmitted if the round-trip time is unknown: Wireshark's 3 ms. */
#define TCPWIN_REORDERING_NS 3000000ULL

enum tcpwin_shape {
	TCPWIN_SHAPE_PLAIN,
	TCPWIN_SHAPE_PROBE,
	TCPWIN_SHAPE_KEEP_ALIVE,
};

/*
 * A sender probes the peer's closed window either with the next byte (RFC 9293,
 * 3.8.6.1), or with an empty segment at a number that is already acknowledged
 * (Linux); with an open window the latter is a keep-alive. An empty segment at the
 * next number is an acknowledgement, unless there is nothing to acknowledge.
 */
TCPWIN_INLINE enum tcpwin_shape tcpwin_shape_of(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	const struct tcpwin_progress *own = segment->own, *peer = segment->peer;
	int closed = (peer->flags & TCPWIN_STALLED) ||
		     ((peer->flags & (TCPWIN_SYN_WINDOW | TCPWIN_CARRIED)) && !peer->window);

	if (!(own->flags & TCPWIN_KNOWN_SEQUENCE) || packet->payload > 1 || (packet->tcp_flags & TCPWIN_FLAG_FIN))
		return TCPWIN_SHAPE_PLAIN;
	if (packet->sequence == own->next - 1)
		return closed ? TCPWIN_SHAPE_PROBE : TCPWIN_SHAPE_KEEP_ALIVE;
	if (!closed || packet->sequence != own->next)
		return TCPWIN_SHAPE_PLAIN;
	int unasked = (own->flags & TCPWIN_KNOWN_ACK) && !(own->flags & TCPWIN_OWES_ACK) && packet->ack == own->ack &&
		      packet->window == own->window;
	return packet->payload == 1 || unasked ? TCPWIN_SHAPE_PROBE : TCPWIN_SHAPE_PLAIN;
}

/*
 * For a segment whose number goes back. By Wireshark's rule, a segment that
 * comes within a round trip after the number that it should have preceded was
 * overtaken, unless two duplicate acknowledgements asked for it.
 */
TCPWIN_INLINE int tcpwin_is_out_of_order(const struct tcpwin_segment *segment)
{
	__u64 limit = TCPWIN_REORDERING_NS;

	if (segment->own_stats->flags & segment->peer_stats->flags & TCPWIN_ANALYSIS_RTT)
		limit = (__u64)segment->own_stats->handshake_rtt_ns + segment->peer_stats->handshake_rtt_ns;
	if (segment->peer->duplicate_acks >= 2 && segment->packet->sequence == segment->peer->ack)
		return 0;
	return segment->end != segment->own->next && tcpwin_since(segment->own->next_ns, segment->now) < limit;
}

/* Follows the sequence number. Not for probes and keep-alives, which do not move it. */
TCPWIN_INLINE void tcpwin_note_sequence(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	struct tcpwin_progress *own = segment->own;

	if (packet->tcp_flags & TCPWIN_FLAG_FIN)
		segment->own_stats->flags |= TCPWIN_ANALYSIS_FIN;
	if ((own->flags & TCPWIN_KNOWN_SEQUENCE) && !tcpwin_is_far(packet->sequence, own->next)) {
		if (packet->sequence != segment->end && tcpwin_is_before(packet->sequence, own->next)) {
			if (tcpwin_is_out_of_order(segment))
				segment->own_stats->out_of_order += packet->segments;
			else
				segment->own_stats->retransmitted += packet->segments;
		}
		if (!tcpwin_is_before(own->next, segment->end))
			return;
	}
	own->flags = (own->flags | TCPWIN_KNOWN_SEQUENCE) & ~TCPWIN_SYN_PENDING;
	own->next = segment->end;
	own->next_ns = segment->now;
}

/*
 * Bytes in flight, and whether they fill the peer's window, both as seen at this point of the network. end: sequence
 * number after the last byte of the segment, not counting a FIN.
 */
TCPWIN_INLINE void tcpwin_note_flight(const struct tcpwin_progress *peer, __u32 *in_flight_max, __u32 *window_full,
				      __u32 end)
{
	__s32 in_flight = (__s32)(end - peer->ack);
	__s32 window = peer->window << (peer->flags & TCPWIN_SYN_WINDOW ? 0 : peer->shift);

	if (in_flight > (__s32)*in_flight_max)
		*in_flight_max = in_flight;
	if (window && in_flight >= window)
		++*window_full;
}

/* Takes the time between the peer's SYN and this answer. A SYN is repeated long before four seconds (2^32 ns). */
TCPWIN_INLINE void tcpwin_take_round_trip(const struct tcpwin_segment *segment)
{
	__u64 taken = tcpwin_since(segment->peer->next_ns, segment->now);

	if (taken >> 32)
		return;
	segment->own_stats->handshake_rtt_ns = (__u32)taken;
	segment->own_stats->flags |= TCPWIN_ANALYSIS_RTT;
}

/*
 * A SYN whose window is 0 (netfilter's SYNPROXY sends such SYN-ACKs) makes its receiver wait from the end of the
 * handshake on.
 */
TCPWIN_INLINE void tcpwin_note_closed_syn_window(const struct tcpwin_segment *segment)
{
	struct tcpwin_progress *peer = segment->peer;

	if ((peer->flags & (TCPWIN_SYN_WINDOW | TCPWIN_STALLED)) != TCPWIN_SYN_WINDOW || peer->window ||
	    tcpwin_is_before(segment->packet->ack, peer->next))
		return;
	tcpwin_open_stall(peer, segment->peer_stats, segment->now);
}

/* The first segment after the peer's SYN-ACK ends the handshake. */
TCPWIN_INLINE void tcpwin_note_handshake(const struct tcpwin_segment *segment)
{
	__u8 flags = segment->peer->flags;

	if (!(flags & TCPWIN_SYN_PENDING))
		return;
	segment->peer->flags &= ~TCPWIN_SYN_PENDING;
	if (!(flags & TCPWIN_KNOWN_ACK) || segment->packet->ack != segment->peer->next)
		return;
	tcpwin_take_round_trip(segment);
}

#endif
