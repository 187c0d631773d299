/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: segments that are captured twice, as a mirror port or an agent on
 * two interfaces of one path delivers them. Pure functions, as in flow.h.
 *
 * A duplicate has the IP id, sequence and acknowledgement number, flags, window,
 * payload length and TCP checksum of a segment of the same sender, one of the last
 * four and at most 2 ms old. A retransmission has another IP id. IPv6 has none; the
 * flow label takes its place, and the checksum, which covers the timestamp option,
 * decides. A frame that segmentation offload made is compared as a whole. A RST without
 * an id is no duplicate: a closed port answers each segment in flight with the same one.
 */
#ifndef TCPWIN_DUPLICATE_H
#define TCPWIN_DUPLICATE_H

#include "segment.h"

#define TCPWIN_DUPLICATE_NS 2000000ULL

/*
 * An entry of tcpwin_progress.recent: 22 bits of a hash, 10 bits of the time in units of 8.192 us. 0: none.
 * The entries of a sender that was silent for 2 ms are invalid, so the oldest valid one is less than 8 ms old and its
 * time does not wrap.
 */
#define TCPWIN_RECENT_SHIFT 13
#define TCPWIN_RECENT_TIME 0x3ffU

TCPWIN_INLINE __u32 tcpwin_recent_entry(const struct tcpwin_packet *packet, __u64 now)
{
	const __u64 odd = 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio */
	__u64 header = (__u64)(packet->id << 16 ^ packet->id >> 16 ^ packet->checksum) << 32 | packet->sequence;
	__u64 rest = (__u64)packet->ack << 32 | (__u32)packet->window << 16 | packet->tcp_flags;

	header = (header ^ (rest + packet->payload) * odd) * odd;
	return (__u32)(header >> 32 & ~(__u64)TCPWIN_RECENT_TIME) |
	       (__u32)(now >> TCPWIN_RECENT_SHIFT & TCPWIN_RECENT_TIME);
}

TCPWIN_INLINE void tcpwin_remember_segment(struct tcpwin_progress *own, __u32 entry, int silent)
{
	own->recent[3] = silent ? 0 : own->recent[2];
	own->recent[2] = silent ? 0 : own->recent[1];
	own->recent[1] = silent ? 0 : own->recent[0];
	own->recent[0] = entry;
}

/* Whether the sender's packet before this one, if any, is too old for this to be a duplicate of it. */
TCPWIN_INLINE int tcpwin_was_silent(const struct tcpwin_direction *direction, __u64 now)
{
	return now > direction->last_ns + TCPWIN_DUPLICATE_NS || !direction->packets;
}

TCPWIN_INLINE int tcpwin_is_recent(const struct tcpwin_progress *own, __u32 entry)
{
	for (int i = 0; i < TCPWIN_RECENT_SEGMENTS; i++) {
		__u32 other = own->recent[i];
		if (other && !((other ^ entry) & ~TCPWIN_RECENT_TIME) &&
		    ((entry - other) & TCPWIN_RECENT_TIME) <= TCPWIN_DUPLICATE_NS >> TCPWIN_RECENT_SHIFT)
			return 1;
	}
	return 0;
}

/* An IPv4 packet whose sender numbers packets; those that are never fragmented may all have 0 (RFC 6864, 4.1). */
TCPWIN_INLINE int tcpwin_has_id(const struct tcpwin_packet *packet)
{
	return packet->id && packet->source.byte[10] == 0xff && packet->source.byte[0] == 0 &&
	       packet->source.byte[1] == 0;
}

/* Counts the packet as a duplicate, or remembers it. Call it before the packet is counted in its direction. */
TCPWIN_INLINE int tcpwin_take_duplicate(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
					__u64 now)
{
	TCPWIN_NEXT_STEP(from);
	from &= 1;
	struct tcpwin_progress *own = &flow->progress[from];
	int silent = tcpwin_was_silent(&flow->direction[from], now);

	if ((packet->tcp_flags & TCPWIN_FLAG_RST) && !tcpwin_has_id(packet))
		return 0;
	__u32 entry = tcpwin_recent_entry(packet, now);
	if (!silent && tcpwin_is_recent(own, entry)) {
		flow->analysis[from].duplicates += packet->segments;
		return 1;
	}
	tcpwin_remember_segment(own, entry, silent);
	return 0;
}

#endif
