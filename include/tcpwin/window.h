/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: the windows that an endpoint announces, and the episodes during
 * which they are closed. Pure functions, as in flow.h.
 */
#ifndef TCPWIN_WINDOW_H
#define TCPWIN_WINDOW_H

#include "segment.h"

/*
 * Whether a window that own announces is open, but too small to transfer anything with. 536 bytes are what any receiver
 * takes in one segment (RFC 9293, 3.7.1); it should rather announce 0 than less (3.8.6.2.2, silly window syndrome).
 */
TCPWIN_INLINE int tcpwin_is_silly(const struct tcpwin_progress *own, const struct tcpwin_analysis *own_stats,
				  const struct tcpwin_analysis *peer_stats, __u16 window)
{
	return window && (__u32)window << (own->shift & 0xf) < TCPWIN_SILLY_BYTES &&
	       !tcpwin_is_scale_unknown(own_stats, peer_stats);
}

TCPWIN_INLINE void tcpwin_note_stalled(struct tcpwin_flow *flow)
{
	__u8 stalled = 0;

	for (int i = 0; i < 2; i++) {
		if (flow->progress[i].flags & TCPWIN_STALLED)
			stalled |= TCPWIN_CLOSED_WINDOW << i;
		if (flow->progress[i].flags & TCPWIN_SILLY_WINDOW)
			stalled |= TCPWIN_SMALL_WINDOW << i;
	}
	flow->stalled = stalled;
}

TCPWIN_INLINE void tcpwin_end_stall(struct tcpwin_progress *own, struct tcpwin_analysis *stats,
				    enum tcpwin_stall_end how, __u64 now)
{
	own->flags &= ~TCPWIN_SILLY_WINDOW;
	if (!(own->flags & TCPWIN_STALLED))
		return;
	__u64 stalled = tcpwin_since(stats->stalled_since_ns, now);
	own->flags &= ~(TCPWIN_STALLED | TCPWIN_PROBED);
	stats->stalled_ns += stalled;
	if (stalled > stats->longest_ns)
		stats->longest_ns = stalled;
	stats->ended = how;
}

TCPWIN_INLINE void tcpwin_open_stall(struct tcpwin_progress *own, struct tcpwin_analysis *stats, __u64 now)
{
	own->flags |= TCPWIN_STALLED;
	stats->stalled_since_ns = now;
	stats->episodes++;
	stats->flags &= ~TCPWIN_ANALYSIS_ALARM;
}

/* The open episode counts up to last_ns, the flow's last packet. */
TCPWIN_INLINE __u64 tcpwin_open_stall_ns(const struct tcpwin_flow *flow, __u32 endpoint, __u64 last_ns)
{
	if (!(flow->progress[endpoint & 1].flags & TCPWIN_STALLED))
		return 0;
	return tcpwin_since(flow->analysis[endpoint & 1].stalled_since_ns, last_ns);
}

/*
 * Compares the window of a segment that is neither SYN nor RST and not stale with
 * the one before. Its right edge may go back by less than one unit of the scale:
 * that is rounding (RFC 7323, 2.4).
 */
TCPWIN_INLINE void tcpwin_compare_window(struct tcpwin_progress *own, struct tcpwin_analysis *stats,
					 const struct tcpwin_packet *packet, int pure)
{
	__u32 forward = packet->ack - own->ack;

	if (pure && packet->window && !forward)
		stats->window_updates++;
	if (packet->window < own->window && (__u32)(own->window - packet->window - 1) << own->shift >= forward)
		stats->window_shrinks++;
}

TCPWIN_INLINE void tcpwin_take_window(struct tcpwin_progress *own, __u16 window)
{
	own->window = window;
	if (window < own->window_min)
		own->window_min = window;
	if (window > own->window_max)
		own->window_max = window;
}

/* Opens, prolongs or closes the sender's episode. Once it has the peer's FIN, the peer no longer waits. */
TCPWIN_INLINE void tcpwin_note_stall(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	int has_fin = (segment->peer_stats->flags & TCPWIN_ANALYSIS_FIN) && packet->ack == segment->peer->next;

	if ((packet->tcp_flags & TCPWIN_FLAG_FIN) || (has_fin && !packet->window)) {
		tcpwin_end_stall(segment->own, segment->own_stats, TCPWIN_STALL_END_FIN, segment->now);
	} else if (packet->window) {
		tcpwin_end_stall(segment->own, segment->own_stats, TCPWIN_STALL_END_RESUMED, segment->now);
	} else if (!(segment->own->flags & TCPWIN_STALLED)) {
		tcpwin_open_stall(segment->own, segment->own_stats, segment->now);
	}
}

/* Counts a closed window, stale or not, and whether it answers a probe. */
TCPWIN_INLINE void tcpwin_note_zero_window(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;

	if (!packet->window && !(packet->tcp_flags & TCPWIN_FLAG_FIN)) {
		segment->own_stats->zero_windows += packet->segments;
		if ((segment->own->flags & TCPWIN_PROBED) && !packet->payload)
			segment->own_stats->probe_answers++;
	}
	segment->own->flags &= ~(TCPWIN_PROBED | TCPWIN_OWES_ACK);
}

/* After a SYN-ACK, whose window is in bytes. */
TCPWIN_INLINE int tcpwin_is_first_update(const struct tcpwin_progress *own, const struct tcpwin_packet *packet,
					 int pure)
{
	return pure && packet->ack == own->ack && packet->window && (__u32)packet->window << own->shift != own->window;
}

/* Whether the peer has sent all that the window permitted. */
TCPWIN_INLINE int tcpwin_is_filled(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own;
	__u32 window = (__u32)own->window << (own->flags & TCPWIN_SYN_WINDOW ? 0 : own->shift & 0xf);

	return (own->flags & TCPWIN_KNOWN_ACK) && !tcpwin_is_before(segment->peer->next, own->ack + window);
}

/* Takes the window of a segment with ACK and without SYN and RST; it describes the sender's receiver. */
TCPWIN_INLINE void tcpwin_note_window(const struct tcpwin_segment *segment, int next_one)
{
	const struct tcpwin_packet *packet = segment->packet;
	struct tcpwin_progress *own = segment->own;
	int pure = next_one && !packet->payload && !(packet->tcp_flags & TCPWIN_FLAG_FIN);
	__u32 duplicates = 0;

	if ((own->flags & TCPWIN_KNOWN_ACK) && !tcpwin_is_far(packet->ack, own->ack)) {
		if (tcpwin_is_before(packet->ack, own->ack) || tcpwin_is_old(segment))
			return; /* stale */
		if (own->flags & TCPWIN_SYN_WINDOW)
			segment->own_stats->window_updates += tcpwin_is_first_update(own, packet, pure);
		else if (packet->window != own->window)
			tcpwin_compare_window(own, segment->own_stats, packet, pure);
		else if (pure && packet->ack == own->ack)
			duplicates = own->duplicate_acks + 1;
	}
	own->duplicate_acks = duplicates;
	int filled = (own->flags & TCPWIN_SILLY_WINDOW) || tcpwin_is_filled(segment);
	if ((own->flags & TCPWIN_STALLED) && packet->ack == segment->peer->next + 1)
		segment->peer->next++; /* the byte of a probe was accepted */
	tcpwin_note_stall(segment);
	if (filled && !(packet->tcp_flags & TCPWIN_FLAG_FIN) &&
	    tcpwin_is_silly(own, segment->own_stats, segment->peer_stats, packet->window))
		own->flags |= TCPWIN_SILLY_WINDOW;
	tcpwin_take_window(own, packet->window);
	own->ack = packet->ack;
	own->flags = (own->flags | TCPWIN_KNOWN_ACK) & ~(TCPWIN_SYN_WINDOW | TCPWIN_CARRIED);
}

#endif
