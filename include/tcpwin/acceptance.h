/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stall analysis: segments that their receiver ignores (RFC 9293, 3.10.7.4; RFC
 * 5961). They change nothing, so they must not end a stall or reset what is known.
 * Pure functions, as in flow.h.
 *
 * Judged are segments of a connection whose two positions are known. The sequence
 * number must be neither before what the receiver has acknowledged nor beyond its
 * window, and the acknowledgement number not beyond what the receiver can have sent.
 * A RST must be at RCV.NXT, which is between what the receiver has acknowledged and
 * what the sender has sent: Linux, FreeBSD and Windows answer any other one in the
 * window with a challenge ACK (RFC 5961, 3.2). A SYN begins a connection when it is
 * answered, not before.
 *
 * Where packets are missing in the capture, a good segment can look the same. So
 * the segment is doubted at first. It was good if the receiver acknowledges it, and
 * ignored if its sender goes on with the old numbers; else it stays unknown.
 */
#ifndef TCPWIN_ACCEPTANCE_H
#define TCPWIN_ACCEPTANCE_H

#include "duplicate.h"
#include "headers.h"
#include "window.h"

/* After so many doubted segments in sequence without an answer, the capture has one direction only. */
#define TCPWIN_ONE_SIDED 64
#define TCPWIN_GAP_BYTES (1U << 20) /* so much data may be missing between two segments of one sender */

/*
 * What tcpwin_judge returns: a judgement, and in the upper bits how many segments that were counted as ignored turn out
 * to be good.
 */
enum tcpwin_judgement {
	TCPWIN_SEGMENT_ACCEPTED,
	TCPWIN_SEGMENT_DUPLICATE,
	TCPWIN_SEGMENT_IGNORED_SYN,
	TCPWIN_SEGMENT_IGNORED_RST,
	TCPWIN_SEGMENT_IGNORED_FIN,
	TCPWIN_SEGMENT_IGNORED_ACK,
};
#define TCPWIN_JUDGEMENT(judgement) ((__u32)(judgement) & 0xff)
#define TCPWIN_TAKEN_BACK(judgement) ((__u32)(judgement) >> 8)

/* As tcpwin_analysis.scale. */
TCPWIN_INLINE __u8 tcpwin_offered_scale(const struct tcpwin_packet *packet)
{
	if (packet->window_scale == TCPWIN_UNKNOWN_WINDOW_SCALE)
		return 0;
	return packet->window_scale == TCPWIN_NO_WINDOW_SCALE ? TCPWIN_SCALE_NONE : packet->window_scale + 1;
}

/* Windows are scaled if both SYNs had the option (RFC 7323, 2.2). */
TCPWIN_INLINE int tcpwin_is_scaled(const struct tcpwin_flow *flow)
{
	__u8 one = flow->analysis[0].scale, other = flow->analysis[1].scale;

	return one && other && one != TCPWIN_SCALE_NONE && other != TCPWIN_SCALE_NONE;
}

/* Whether the connection was reset, or closed by both endpoints. */
TCPWIN_INLINE int tcpwin_has_ended(const struct tcpwin_analysis *one, const struct tcpwin_analysis *other)
{
	return ((one->flags | other->flags) & TCPWIN_ANALYSIS_RST) || (one->flags & other->flags & TCPWIN_ANALYSIS_FIN);
}

/* Whether a SYN that ends at this number repeats one of the same sender. */
TCPWIN_INLINE int tcpwin_is_repeated_syn(const struct tcpwin_progress *own, __u32 end)
{
	return (own->flags & TCPWIN_KNOWN_SEQUENCE) && own->next == end;
}

/* Sequence number after the last that the endpoint, one of the segment's two, permits its peer. */
TCPWIN_INLINE __u32 tcpwin_right_edge(const struct tcpwin_segment *segment, const struct tcpwin_progress *endpoint)
{
	int unknown = tcpwin_is_scale_unknown(segment->own_stats, segment->peer_stats);
	__u32 shift = unknown ? TCPWIN_MAX_WINDOW_SCALE : endpoint->shift & 0xf;

	return endpoint->ack + ((__u32)endpoint->window << (endpoint->flags & TCPWIN_SYN_WINDOW ? 0 : shift));
}

TCPWIN_INLINE __u32 tcpwin_later(__u32 left, __u32 right)
{
	return tcpwin_is_before(left, right) ? right : left;
}

/* Highest sequence number without a gap. */
TCPWIN_INLINE __u32 tcpwin_highest(const struct tcpwin_segment *segment)
{
	return tcpwin_later(segment->own->next, tcpwin_right_edge(segment, segment->peer));
}

TCPWIN_INLINE int tcpwin_has_good_sequence(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	__u32 ack = segment->peer->ack;

	if (!tcpwin_has_positions(segment))
		return 1;
	if (tcpwin_is_before(segment->end, ack))
		return ack - segment->end <= TCPWIN_LARGEST_WINDOW;
	int data = packet->payload && !(packet->tcp_flags & TCPWIN_FLAG_FIN);
	__u32 gap = data || packet->tcp_flags & TCPWIN_FLAG_RST ? TCPWIN_GAP_BYTES : 0;
	return !tcpwin_is_before(tcpwin_highest(segment) + gap, packet->sequence);
}

/*
 * Whether data begin beyond the window, but not far, and after a gap. Either the receiver ignores them, or packets are
 * missing in the capture: so they are counted, but what they say of their sender's window is not used.
 */
TCPWIN_INLINE int tcpwin_is_beyond(const struct tcpwin_segment *segment)
{
	return segment->packet->payload && tcpwin_has_positions(segment) &&
	       tcpwin_is_before(tcpwin_highest(segment), segment->packet->sequence);
}

/* The byte of a probe may be acknowledged although the window was closed. */
TCPWIN_INLINE int tcpwin_has_good_ack(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own, *peer = segment->peer;
	__u32 ack = segment->packet->ack;

	if (!(segment->packet->tcp_flags & TCPWIN_FLAG_ACK) || !(own->flags & TCPWIN_KNOWN_ACK) ||
	    !(peer->flags & TCPWIN_KNOWN_SEQUENCE))
		return 1;
	if (tcpwin_is_before(ack, own->ack))
		return own->ack - ack <= TCPWIN_LARGEST_WINDOW;
	__u32 sent = peer->next + !!(own->flags & TCPWIN_STALLED);
	return !tcpwin_is_before(tcpwin_later(sent, tcpwin_right_edge(segment, own)), ack);
}

/* Whether it answers a SYN or SYN-ACK that was doubted. */
TCPWIN_INLINE int tcpwin_confirms_syn(const struct tcpwin_segment *segment)
{
	return (segment->peer->flags & TCPWIN_DOUBTED_SYN) && (segment->packet->tcp_flags & TCPWIN_FLAG_ACK) &&
	       segment->packet->ack == segment->peer_stats->doubt;
}

/* What a doubted segment is. */
enum tcpwin_doubt {
	TCPWIN_DOUBT_NONE = 0,
	TCPWIN_DOUBT_OUTSIDE = TCPWIN_DOUBTED,
	TCPWIN_DOUBT_ACK = TCPWIN_DOUBTED | TCPWIN_DOUBTED_ACK,
	TCPWIN_DOUBT_SYN = TCPWIN_DOUBTED | TCPWIN_DOUBTED_SYN,
	TCPWIN_DOUBT_RST =
		TCPWIN_DOUBTED | TCPWIN_DOUBTED_RST, /* near the next number: good unless its sender goes on */
	TCPWIN_DOUBT_KINDS = TCPWIN_DOUBTED | TCPWIN_DOUBTED_ACK | TCPWIN_DOUBTED_SYN | TCPWIN_DOUBTED_RST,
};

/*
 * A RST at a number that is already acknowledged. After a FIN it may be at the number of the FIN: macOS, accepted by
 * Linux (tcp_reset_check). Others are ignored, but a closed port sends them, in answer to segments in flight.
 */
TCPWIN_INLINE enum tcpwin_doubt tcpwin_doubt_late_rst(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own, *peer = segment->peer;
	__u32 before = peer->ack - segment->packet->sequence;
	int fin = segment->own_stats->flags & TCPWIN_ANALYSIS_FIN || tcpwin_is_before(own->next, peer->ack);

	if (before == 1 && fin)
		return TCPWIN_DOUBT_NONE;
	return before <= TCPWIN_GAP_BYTES ? TCPWIN_DOUBT_RST : TCPWIN_DOUBT_OUTSIDE;
}

TCPWIN_INLINE enum tcpwin_doubt tcpwin_doubt_rst(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	const struct tcpwin_progress *own = segment->own, *peer = segment->peer;

	if (tcpwin_confirms_syn(segment))
		return TCPWIN_DOUBT_NONE;
	if (!(own->flags & TCPWIN_KNOWN_SEQUENCE) && (peer->flags & TCPWIN_SYN_WINDOW) &&
	    !(peer->flags & TCPWIN_KNOWN_ACK))
		return packet->tcp_flags & TCPWIN_FLAG_ACK && packet->ack == peer->next ? TCPWIN_DOUBT_NONE :
											  TCPWIN_DOUBT_RST;
	if (!tcpwin_has_positions(segment))
		return TCPWIN_DOUBT_NONE;
	if (tcpwin_is_before(packet->sequence, peer->ack))
		return tcpwin_doubt_late_rst(segment);
	if (!tcpwin_is_before(tcpwin_later(own->next, peer->ack) + !!(peer->flags & TCPWIN_STALLED), packet->sequence))
		return TCPWIN_DOUBT_NONE;
	return tcpwin_has_good_sequence(segment) ? TCPWIN_DOUBT_RST : TCPWIN_DOUBT_OUTSIDE;
}

/* Whether this SYN belongs to the connection, and was captured after segments that followed it. */
TCPWIN_INLINE int tcpwin_is_late_syn(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own;

	if (segment->own_stats->scale || !(segment->peer->flags & TCPWIN_KNOWN_ACK))
		return 0;
	if (!(own->flags & TCPWIN_KNOWN_SEQUENCE))
		return segment->peer->ack == segment->end;
	return own->next - (__u32)own->payload_bytes == segment->end;
}

TCPWIN_INLINE enum tcpwin_doubt tcpwin_doubt_syn(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own, *peer = segment->peer;

	if (!(own->flags & TCPWIN_KNOWN_SEQUENCE) || tcpwin_is_repeated_syn(own, segment->end))
		return TCPWIN_DOUBT_NONE;
	if (segment->packet->tcp_flags & TCPWIN_FLAG_ACK)
		return peer->flags ? TCPWIN_DOUBT_SYN : TCPWIN_DOUBT_NONE;
	return !(peer->flags & TCPWIN_KNOWN_ACK) || tcpwin_is_late_syn(segment) ? TCPWIN_DOUBT_NONE : TCPWIN_DOUBT_SYN;
}

/* Kind of doubt about a segment of a connection that has not ended. */
TCPWIN_INLINE enum tcpwin_doubt tcpwin_doubt_segment(const struct tcpwin_segment *segment)
{
	if (segment->packet->tcp_flags & TCPWIN_FLAG_RST)
		return tcpwin_doubt_rst(segment);
	if (segment->packet->tcp_flags & TCPWIN_FLAG_SYN)
		return tcpwin_doubt_syn(segment);
	if (!tcpwin_has_good_sequence(segment))
		return TCPWIN_DOUBT_OUTSIDE;
	return tcpwin_has_good_ack(segment) ? TCPWIN_DOUBT_NONE : TCPWIN_DOUBT_ACK;
}

/* Returns the number of segments that were doubted. What is repeated now is judged again: it is no duplicate. */
TCPWIN_INLINE __u32 tcpwin_take_back(struct tcpwin_progress *progress)
{
	__u32 doubted = progress->doubted;

	if (doubted)
		__builtin_memset(progress->recent, 0, sizeof(progress->recent));
	progress->doubted = 0;
	progress->flags &= ~TCPWIN_DOUBT_KINDS;
	return doubted;
}

TCPWIN_INLINE void tcpwin_ignore_doubted(struct tcpwin_progress *progress, struct tcpwin_analysis *stats)
{
	stats->ignored += tcpwin_take_back(progress);
}

/* Whether the segment acknowledges what the peer sent in doubted segments. */
TCPWIN_INLINE int tcpwin_confirms(const struct tcpwin_segment *segment)
{
	__u32 ack = segment->packet->ack, next = segment->peer->next;

	return !(segment->peer->flags & TCPWIN_DOUBTED_ACK) &&
	       (tcpwin_is_before(next, ack) || tcpwin_is_far(ack, next)) &&
	       segment->peer_stats->doubt - ack <= TCPWIN_LARGEST_WINDOW;
}

/* Whether the sender of doubted segments goes on as if it had not sent them. The segment itself is good. */
TCPWIN_INLINE int tcpwin_refutes(const struct tcpwin_segment *segment)
{
	const struct tcpwin_progress *own = segment->own;

	return (own->flags & TCPWIN_DOUBTED) &&
	       ((own->flags & (TCPWIN_DOUBTED_SYN | TCPWIN_DOUBTED_RST)) || segment->packet->sequence == own->next);
}

/* Whether the sender has sent, before this segment, what the peer acknowledged in a doubted one. */
TCPWIN_INLINE int tcpwin_has_sent_doubted(const struct tcpwin_segment *segment)
{
	__u32 sequence = segment->packet->sequence;

	return (segment->peer->flags & TCPWIN_DOUBTED_ACK) && sequence - segment->own->next <= TCPWIN_GAP_BYTES &&
	       !tcpwin_is_before(sequence, segment->peer_stats->doubt);
}

/* Whether the sender goes on with the numbers of its SYN, which was doubted: the answer was not captured. */
TCPWIN_INLINE int tcpwin_follows_doubted_syn(const struct tcpwin_segment *segment)
{
	return (segment->own->flags & TCPWIN_DOUBTED_SYN) && segment->packet->sequence == segment->own_stats->doubt &&
	       !(segment->packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST));
}

/* A SYN or RST stays what is doubted, whatever follows it. */
TCPWIN_INLINE void tcpwin_doubt(const struct tcpwin_segment *segment, enum tcpwin_doubt kind)
{
	const __u16 lasting = TCPWIN_DOUBTED_SYN | TCPWIN_DOUBTED_RST;
	struct tcpwin_progress *own = segment->own;

	if (own->doubted < 0xff)
		own->doubted++;
	if ((own->flags & lasting) && !(kind & lasting))
		return;
	own->flags = (own->flags & ~TCPWIN_DOUBT_KINDS) | kind;
	segment->own_stats->doubt = kind == TCPWIN_DOUBT_ACK ? segment->packet->ack : segment->end;
	segment->own_stats->doubt_scale = tcpwin_offered_scale(segment->packet);
}

TCPWIN_INLINE int tcpwin_is_one_sided(const struct tcpwin_segment *segment)
{
	return segment->own->doubted >= TCPWIN_ONE_SIDED &&
	       segment->own_stats->doubt - segment->packet->sequence + TCPWIN_GAP_BYTES <= 2 * TCPWIN_GAP_BYTES;
}

/* Another connection of the same endpoints: nothing known is valid. */
TCPWIN_INLINE void tcpwin_forget(struct tcpwin_progress *progress, struct tcpwin_analysis *stats, __u64 now)
{
	tcpwin_end_stall(progress, stats, TCPWIN_STALL_END_NEW_CONNECTION, now);
	tcpwin_ignore_doubted(progress, stats);
	progress->flags = 0;
	progress->duplicate_acks = 0;
	stats->scale = 0;
	stats->flags &= ~(TCPWIN_ANALYSIS_FIN | TCPWIN_ANALYSIS_RST);
}

/* The endpoint's last SYN, which was doubted, begins a connection: it was answered. Returns 1, the number of that SYN. */
TCPWIN_INLINE __u32 tcpwin_begin_with_doubted(struct tcpwin_progress *progress, struct tcpwin_analysis *stats,
					      __u64 now)
{
	progress->doubted--;
	tcpwin_forget(progress, stats, now);
	progress->next = stats->doubt;
	progress->next_ns = now;
	progress->flags = TCPWIN_KNOWN_SEQUENCE;
	stats->scale = stats->doubt_scale;
	return 1;
}

/*
 * What the peer acknowledges decides on segments of it that were doubted. Returns the number of doubted segments that
 * turn out to be good; if there are any, this segment is good too, whatever its own numbers are.
 */
TCPWIN_INLINE __u32 tcpwin_settle(const struct tcpwin_segment *segment)
{
	const struct tcpwin_packet *packet = segment->packet;
	struct tcpwin_progress *peer = segment->peer;

	if (!(peer->flags & TCPWIN_DOUBTED) || !(packet->tcp_flags & TCPWIN_FLAG_ACK) ||
	    (packet->tcp_flags & TCPWIN_FLAG_RST))
		return 0;
	if (tcpwin_confirms_syn(segment)) {
		tcpwin_forget(segment->own, segment->own_stats, segment->now);
		return tcpwin_begin_with_doubted(peer, segment->peer_stats, segment->now);
	}
	if (packet->tcp_flags & TCPWIN_FLAG_SYN)
		return 0;
	if (tcpwin_confirms(segment)) {
		peer->next = packet->ack;
		peer->next_ns = segment->now;
	} else if (!tcpwin_has_sent_doubted(segment)) {
		return 0;
	}
	return tcpwin_take_back(peer) + tcpwin_take_back(segment->own);
}

/* Without answers the numbers of the peer are old: they no longer judge. */
TCPWIN_INLINE __u32 tcpwin_go_on_one_sided(const struct tcpwin_segment *segment)
{
	segment->own->next = segment->end;
	segment->own->next_ns = segment->now;
	segment->peer->flags &= ~TCPWIN_KNOWN_ACK;
	return tcpwin_take_back(segment->own);
}

TCPWIN_INLINE enum tcpwin_judgement tcpwin_ignored_kind(__u8 tcp_flags)
{
	if (tcp_flags & TCPWIN_FLAG_RST)
		return TCPWIN_SEGMENT_IGNORED_RST;
	if (tcp_flags & TCPWIN_FLAG_SYN)
		return TCPWIN_SEGMENT_IGNORED_SYN;
	return tcp_flags & TCPWIN_FLAG_FIN ? TCPWIN_SEGMENT_IGNORED_FIN : TCPWIN_SEGMENT_IGNORED_ACK;
}

/*
 * Returns enum tcpwin_judgement, see there. Called before the packet is counted in its direction, because it needs the
 * time of the packet before.
 */
TCPWIN_OUT_OF_LINE __u32 tcpwin_judge(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
				      __u64 now)
{
	__u32 taken_back;

	if (!flow || !packet)
		return TCPWIN_SEGMENT_ACCEPTED;
	if (tcpwin_take_duplicate(flow, packet, from, now))
		return TCPWIN_SEGMENT_DUPLICATE;
	struct tcpwin_segment segment = tcpwin_make_segment(flow, packet, from, now);
	if (tcpwin_has_ended(segment.own_stats, segment.peer_stats))
		return TCPWIN_SEGMENT_ACCEPTED;
	taken_back = tcpwin_settle(&segment);
	if (taken_back)
		return TCPWIN_SEGMENT_ACCEPTED | taken_back << 8;
	segment = tcpwin_make_segment(flow, packet, from, now);
	enum tcpwin_doubt kind = tcpwin_doubt_segment(&segment);
	segment = tcpwin_make_segment(flow, packet, from, now);
	if (!kind) {
		if ((packet->tcp_flags & TCPWIN_FLAG_RST) && (segment.own->flags & TCPWIN_DOUBTED_RST))
			taken_back = tcpwin_take_back(segment.own);
		else if (tcpwin_refutes(&segment))
			tcpwin_ignore_doubted(segment.own, segment.own_stats);
	} else if (tcpwin_follows_doubted_syn(&segment)) {
		tcpwin_forget(segment.peer, segment.peer_stats, now);
		taken_back = tcpwin_begin_with_doubted(segment.own, segment.own_stats, now);
	} else if (tcpwin_is_one_sided(&segment)) {
		taken_back = tcpwin_go_on_one_sided(&segment);
	} else {
		tcpwin_doubt(&segment, kind);
		return tcpwin_ignored_kind(packet->tcp_flags);
	}
	return TCPWIN_SEGMENT_ACCEPTED | taken_back << 8;
}

#endif
