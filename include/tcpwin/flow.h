/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow engine: how flows begin, and how packets are counted in them.
 *
 * Pure functions: time and configuration are parameters, nothing is locked or
 * looked up here. The caller has locked the flow (see bpf/ownership.bpf.h).
 */
#ifndef TCPWIN_FLOW_H
#define TCPWIN_FLOW_H

#include "counters.h"
#include "expiry.h"
#include "key.h"
#include "messages.h"
#include "stall.h"
#include "state.h"

/* Whether the sender of a flow's first packet is taken for the server. */
TCPWIN_INLINE int tcpwin_is_from_server(const struct tcpwin_packet *packet)
{
	const __u8 syn_ack = TCPWIN_FLAG_SYN | TCPWIN_FLAG_ACK;
	__u16 port = packet->source_port;

	return (port < 1024 && port < packet->destination_port) || port == 8080 || port == 8081 || port == 8088 ||
	       port == 8089 || (packet->tcp_flags & syn_ack) == syn_ack;
}

/* Initializes all but seq, progress and analysis. Where the connection continues, its sockets do, too. */
TCPWIN_INLINE void tcpwin_begin_counting(struct tcpwin_flow *flow, __u64 id, __u64 continues, __u32 ifindex,
					 const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	flow->id = id;
	flow->continues_back = continues ? (__u32)(id - continues) : 0;
	flow->active_since_s = (__u32)(now / TCPWIN_NS_PER_S);
	flow->ifindex = ifindex;
	flow->a_side = tcpwin_is_from_server(packet) ? !from : from;
	flow->hooks = continues ? flow->hooks & ~TCPWIN_HOOK_ALL : 0;
	flow->analyzed = 1;
	flow->stalled = 0;
	flow->recent = 0;
	__builtin_memset(flow->direction, 0, sizeof(flow->direction));
}

/* A new flow without a packet; seq is left to the caller. */
TCPWIN_INLINE void tcpwin_begin_flow(struct tcpwin_flow *flow, __u64 id, __u32 ifindex,
				     const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	tcpwin_begin_counting(flow, id, 0, ifindex, packet, from, now);
	tcpwin_begin_analysis(flow);
	__builtin_memset(flow->socket, 0, sizeof(flow->socket));
	__builtin_memset(flow->zero, 0, sizeof(flow->zero));
}

/* Whether the packet begins another connection than the one of the flow, which has ended (RFC 9293, 3.10.7.1). */
TCPWIN_INLINE int tcpwin_begins_connection(const struct tcpwin_flow *flow, const struct tcpwin_config *config,
					   const struct tcpwin_packet *packet, __u32 from)
{
	if (!(config->rules & TCPWIN_RULE_SPLIT_CONNECTIONS) || !flow->analyzed ||
	    (packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST)) != TCPWIN_FLAG_SYN)
		return 0;
	return tcpwin_has_ended(&flow->analysis[0], &flow->analysis[1]) &&
	       !tcpwin_is_repeated_syn(&flow->progress[from & 1], tcpwin_end_of(packet));
}

/* Whether the flow ends before this packet, which begins another one. */
TCPWIN_INLINE int tcpwin_is_cut(const struct tcpwin_flow *flow, const struct tcpwin_config *config,
				const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	return tcpwin_is_expired(flow, config, now) || tcpwin_begins_connection(flow, config, packet, from);
}

/* For a flow for which tcpwin_is_cut is true. */
TCPWIN_INLINE enum tcpwin_end_reason tcpwin_cut_reason(const struct tcpwin_flow *flow,
						       const struct tcpwin_config *config, __u64 now)
{
	return tcpwin_is_expired(flow, config, now) ? tcpwin_expiry_reason(flow, config) : TCPWIN_END_NEW_CONNECTION;
}

/*
 * A new flow in place of one of the same key that has ended. If that was not long ago, and it is the same connection,
 * the new one refers to it and keeps what was known.
 */
TCPWIN_INLINE void tcpwin_succeed_flow(struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 id,
				       __u32 ifindex, const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	if (now >= tcpwin_forgotten_at(flow, config, TCPWIN_CONTINUES_NS) ||
	    tcpwin_begins_connection(flow, config, packet, from)) {
		tcpwin_begin_flow(flow, id, ifindex, packet, from, now);
		return;
	}
	tcpwin_begin_counting(flow, id, flow->id, ifindex, packet, from, now);
	tcpwin_carry_on(flow);
}

/*
 * Whether a packet certainly raises no alarm and neither opens nor ends a stall, and is the next one of its connection,
 * as nearly all packets. Call this before the packet is counted. analyze: as in tcpwin_count_packet.
 */
TCPWIN_INLINE int tcpwin_is_quiet(const struct tcpwin_flow *flow, const struct tcpwin_config *config,
				  const struct tcpwin_packet *packet, __u32 from, __u64 now, int analyze)
{
	const struct tcpwin_direction *direction = &flow->direction[from & 1];

	if (analyze && (!tcpwin_is_fast(&flow->progress[from & 1], &flow->progress[~from & 1], packet) ||
			tcpwin_is_silly(&flow->progress[from & 1], &flow->analysis[from & 1],
					&flow->analysis[~from & 1], packet->window)))
		return 0;
	if (analyze && tcpwin_limits_due(flow, config->limited_alarm_ns, now))
		return 0;
	return packet->window && packet->window >= config->window_threshold && !flow->stalled &&
	       (direction->zero_window_count < config->abort_count || (direction->alarms & TCPWIN_ALARM_ABORT_COUNT));
}

TCPWIN_INLINE void tcpwin_add_packet(struct tcpwin_flow *flow, struct tcpwin_direction *direction,
				     const struct tcpwin_packet *packet, __u64 now)
{
	/* This clock may have been read before another CPU's packet was counted: never go back. */
	if (now > direction->last_ns)
		direction->last_ns = now;
	direction->packets += packet->segments;
	direction->bytes += packet->bytes;
	flow->hooks |= packet->hook;
}

/*
 * Counts a later fragment of a packet of this flow: it only refreshes last_ns and
 * adds to packets and bytes.
 */
TCPWIN_INLINE void tcpwin_refresh_flow(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				       const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	struct tcpwin_direction *direction = &flow->direction[from & 1];

	tcpwin_add_packet(flow, direction, packet, now);
	tcpwin_note_recent(flow, direction);
	tcpwin_note_vlan(flow, config, packet, from);
}

/* Counts a packet of the flow at time now. from: what tcpwin_make_key returned, 0 or 1. closing: see tcpwin_step. */
TCPWIN_INLINE void tcpwin_update_flow(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				      const struct tcpwin_packet *packet, __u32 from, __u64 now, __u8 closing)
{
	struct tcpwin_direction *direction = &flow->direction[from & 1];
	struct tcpwin_direction *reverse = &flow->direction[~from & 1];

	tcpwin_note_vlan(flow, config, packet, from);
	if (!direction->packets) {
		direction->first_ns = now;
		direction->window_min = packet->window;
		direction->window_scale = TCPWIN_NO_WINDOW_SCALE;
	}
	tcpwin_add_packet(flow, direction, packet, now);
	direction->tcp_flags |= packet->tcp_flags;
	if (packet->window < direction->window_min)
		direction->window_min = packet->window;
	if (packet->window > direction->window_max)
		direction->window_max = packet->window;
	direction->window_last = packet->window;
	if (packet->tcp_flags & TCPWIN_FLAG_SYN) {
		direction->window_scale = packet->window_scale;
		flow->hooks &= ~(TCPWIN_SOCKET_KNOWN << (from & 1)); /* another connection may have another socket */
	}
	tcpwin_step(direction, reverse, packet, config, closing);
	tcpwin_note_recent(flow, direction);
}

/*
 * tcpwin_update_flow and, if analyze is set, the stall analysis, for any packet. Returns what tcpwin_judge returned; 0
 * without analysis.
 */
TCPWIN_INLINE __u32 tcpwin_count_packet_slow(struct tcpwin_flow *flow, const struct tcpwin_config *config,
					     const struct tcpwin_packet *packet, __u32 from, __u64 now, int analyze)
{
	__u32 judgement = 0, due = analyze ? tcpwin_limits_due(flow, config->limited_alarm_ns, now) : 0;

	if (flow->stalled)
		tcpwin_note_long_stalls(flow, config, now);
	if (analyze)
		judgement = tcpwin_judge(flow, packet, from, now);
	else
		flow->analyzed = 0;
	int accepted = TCPWIN_JUDGEMENT(judgement) == TCPWIN_SEGMENT_ACCEPTED;
	tcpwin_update_flow(flow, config, packet, from, now, accepted ? packet->tcp_flags : 0);
	if (analyze && accepted) {
		tcpwin_analyze_slow(flow, packet, from, now);
		if (due)
			tcpwin_note_long_limits(flow, due, now);
	}
	return judgement;
}

TCPWIN_STATIC_ASSERT(TCPWIN_COUNTER_OF_JUDGEMENT(TCPWIN_SEGMENT_IGNORED_ACK) == TCPWIN_COUNTER_IGNORED_ACK,
		     "the counters are in the order of enum tcpwin_judgement");

/* judgement: what tcpwin_count_packet_slow returned. */
TCPWIN_INLINE void tcpwin_count_judgement(struct tcpwin_counters *counters, __u32 judgement)
{
	__u32 kind = TCPWIN_JUDGEMENT(judgement), index = TCPWIN_COUNTER_OF_JUDGEMENT(kind);

	TCPWIN_NEXT_STEP(index); /* the verifier has to see the check of this number, not of another */
	if (kind && index < TCPWIN_COUNTER_COUNT)
		counters->value[index]++;
	counters->value[TCPWIN_COUNTER_IGNORED_CORRECTED] += TCPWIN_TAKEN_BACK(judgement);
}

/* tcpwin_count_packet_slow for a packet for which tcpwin_is_quiet is true: fewer steps for most packets, and more code. */
TCPWIN_INLINE void tcpwin_count_packet(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				       const struct tcpwin_packet *packet, __u32 from, __u64 now, int analyze)
{
	if (analyze)
		tcpwin_analyze_fast(flow, packet, from, now);
	else
		flow->analyzed = 0;
	TCPWIN_NEXT_STEP(from);
	tcpwin_update_flow(flow, config, packet, from, now, packet->tcp_flags);
}

TCPWIN_INLINE void tcpwin_fill_record(struct tcpwin_record *record, const struct tcpwin_key *key,
				      const struct tcpwin_flow *flow, __u64 now, enum tcpwin_end_reason reason)
{
	record->type = TCPWIN_MESSAGE_RECORD;
	record->reason = (__u8)reason;
	__builtin_memset(record->zero, 0, sizeof(record->zero));
	record->now_ns = now;
	record->key = *key;
	record->flow = *flow;
}

/* Describes the packet that was just counted, for packet mode. previous_ns: the direction's last_ns before it. */
TCPWIN_INLINE void tcpwin_fill_packet_event(struct tcpwin_packet_event *event, const struct tcpwin_key *key,
					    const struct tcpwin_flow *flow, const struct tcpwin_packet *packet,
					    __u32 from, __u64 now, __u64 previous_ns, int later_fragment)
{
	const struct tcpwin_direction *direction = &flow->direction[from & 1];

	event->key = *key;
	event->key.vlan = packet->vlan;
	event->flow_id = flow->id;
	event->now_ns = now;
	event->first_ns = direction->first_ns;
	event->previous_ns = direction->packets > packet->segments ? previous_ns : now;
	event->zero_window_count = direction->zero_window_count;
	event->window = direction->window_last;
	event->from = (__u8)from;
	event->a_side = flow->a_side;
	event->stat = direction->stat;
	event->state = direction->state;
	event->timeout = direction->timeout;
	event->later_fragment = later_fragment != 0;
	event->segments = packet->segments;
}

#endif
