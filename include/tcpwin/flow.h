/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow engine: keys, directions A and B, the state machine of
 * Tranalyzer2's tcpWinTMT, and when a flow ends.
 *
 * Pure functions: time and configuration are parameters, nothing is locked or
 * looked up here. Whoever calls them owns the flow (see bpf/ownership.bpf.h).
 */
#ifndef TCPWIN_FLOW_H
#define TCPWIN_FLOW_H

#include "stall.h"

TCPWIN_INLINE __u64 tcpwin_be64(const __u8 *at)
{
	__u64 value;

	__builtin_memcpy(&value, __builtin_assume_aligned(at, 8), sizeof(value));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

/* Below 0, 0 or above 0, as memcmp. */
TCPWIN_INLINE int tcpwin_compare_address(const struct tcpwin_address *left, const struct tcpwin_address *right)
{
	for (int i = 0; i < 16; i += 8) {
		__u64 l = tcpwin_be64(left->byte + i), r = tcpwin_be64(right->byte + i);
		if (l != r)
			return l < r ? -1 : 1;
	}
	return 0;
}

/*
 * Fills key, padding included, and returns which of its endpoints sent the
 * packet. Equal endpoints (land attack) are one direction, 0.
 */
TCPWIN_INLINE __u32 tcpwin_make_key(const struct tcpwin_packet *packet, struct tcpwin_key *key)
{
	int order = tcpwin_compare_address(&packet->source, &packet->destination);
	__u32 from = order > 0 || (order == 0 && packet->source_port > packet->destination_port);

	key->address[0] = from ? packet->destination : packet->source;
	key->address[1] = from ? packet->source : packet->destination;
	key->port[0] = from ? packet->destination_port : packet->source_port;
	key->port[1] = from ? packet->source_port : packet->destination_port;
	key->vlan = packet->vlan;
	key->scope = packet->scope;
	return from;
}

/* 32 bits of a multiplicative hash over the key's five words. */
TCPWIN_INLINE __u32 tcpwin_hash_key(const struct tcpwin_key *key)
{
	const __u64 odd = 0x9e3779b97f4a7c15ULL; /* 2^64 / golden ratio */
	const __u8 *at = (const __u8 *)key;
	__u64 hash = 0;

	for (int i = 0; i < 5; i++) {
		__u64 part;
		__builtin_memcpy(&part, __builtin_assume_aligned(at + 8 * i, 8), sizeof(part));
		hash = (hash ^ part) * odd;
		hash ^= hash >> 32;
	}
	return (__u32)hash;
}

/* Whether the sender of a flow's first packet is taken for the server. */
TCPWIN_INLINE int tcpwin_is_from_server(const struct tcpwin_packet *packet)
{
	const __u8 syn_ack = TCPWIN_FLAG_SYN | TCPWIN_FLAG_ACK;
	__u16 port = packet->source_port;

	return (port < 1024 && port < packet->destination_port) || port == 8080 || port == 8081 || port == 8088 ||
	       port == 8089 || (packet->tcp_flags & syn_ack) == syn_ack;
}

/* All but progress and analysis. */
TCPWIN_INLINE void tcpwin_begin_counting(struct tcpwin_flow *flow, __u64 id, __u64 continues, __u32 ifindex,
					 const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	flow->id = id;
	flow->continues_back = continues ? (__u32)(id - continues) : 0;
	flow->active_since_s = (__u32)(now / 1000000000);
	flow->ifindex = ifindex;
	flow->a_side = tcpwin_is_from_server(packet) ? !from : from;
	flow->hooks = 0;
	flow->analyzed = 1;
	flow->stalled = 0;
	flow->recent = 0;
	__builtin_memset(flow->direction, 0, sizeof(flow->direction));
}

/* A new flow without a packet; word is left to the caller. */
TCPWIN_INLINE void tcpwin_begin_flow(struct tcpwin_flow *flow, __u64 id, __u32 ifindex,
				     const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	tcpwin_begin_counting(flow, id, 0, ifindex, packet, from, now);
	tcpwin_begin_analysis(flow);
}

/* Whether a packet was its last, see TCPWIN_ON_THRESHOLD. */
TCPWIN_INLINE int tcpwin_is_terminated(const struct tcpwin_flow *flow)
{
	return flow->direction[0].timeout == TCPWIN_TIMEOUT_TERMINATED ||
	       flow->direction[1].timeout == TCPWIN_TIMEOUT_TERMINATED;
}

/*
 * When the flow ends if no packet comes: the latest of last_seen + timeout over
 * the directions it has. A closed window may hold it longer.
 */
TCPWIN_INLINE __u64 tcpwin_expires_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 held_ns = flow->stalled && !tcpwin_is_terminated(flow) ? config->stalled_ns : 0;
	__u64 expires = 0;

	for (int i = 0; i < 2; i++) {
		const struct tcpwin_direction *direction = &flow->direction[i];
		if (!direction->packets)
			continue;
		__u64 timeout_ns = config->timeout_ns[direction->timeout % TCPWIN_TIMEOUT_SLOTS];
		__u64 at = direction->last_ns + (held_ns > timeout_ns ? held_ns : timeout_ns);
		if (at > expires)
			expires = at;
	}
	return expires;
}

/*
 * Not after tcpwin_expires_at, and for most flows less than 8 ns before it. It reads one word of the flow, next to the
 * sequence word, where that reads three cache lines.
 */
TCPWIN_INLINE __u64 tcpwin_expires_after(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 recent = flow->recent;

	return (recent & ~(__u64)TCPWIN_RECENT_TIMEOUT) + config->timeout_ns[recent & TCPWIN_RECENT_TIMEOUT];
}

TCPWIN_INLINE void tcpwin_note_recent(struct tcpwin_flow *flow, const struct tcpwin_direction *direction)
{
	flow->recent =
		(direction->last_ns & ~(__u64)TCPWIN_RECENT_TIMEOUT) | (direction->timeout & TCPWIN_RECENT_TIMEOUT);
}

/* A time before last_seen is no idle time: expires_at lies after last_seen. */
TCPWIN_INLINE int tcpwin_is_expired(const struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 now)
{
	return now >= tcpwin_expires_at(flow, config);
}

/* Which timeout ended an expired flow: that of the direction that held it to the last. */
TCPWIN_INLINE enum tcpwin_end_reason tcpwin_expiry_reason(const struct tcpwin_flow *flow,
							  const struct tcpwin_config *config)
{
	__u64 expires = tcpwin_expires_at(flow, config);
	int aborted = 0, fin = 0;

	if (tcpwin_is_terminated(flow))
		return TCPWIN_END_TERMINATED;
	for (int i = 0; i < 2; i++) {
		const struct tcpwin_direction *direction = &flow->direction[i];
		__u8 timeout = direction->timeout % TCPWIN_TIMEOUT_SLOTS;
		if (!direction->packets || direction->last_ns + config->timeout_ns[timeout] != expires)
			continue;
		if (timeout != TCPWIN_TIMEOUT_ABRT && timeout != TCPWIN_TIMEOUT_FIN)
			return TCPWIN_END_IDLE_TIMEOUT;
		aborted |= timeout == TCPWIN_TIMEOUT_ABRT;
		fin |= timeout == TCPWIN_TIMEOUT_FIN;
	}
	return fin ? TCPWIN_END_FIN_TIMEOUT : aborted ? TCPWIN_END_ABORT_TIMEOUT : TCPWIN_END_IDLE_TIMEOUT;
}

/* When a record of a flow that goes on is due; never: ~0. Whole seconds of the clock are exact enough. */
TCPWIN_INLINE __u64 tcpwin_active_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	return config->active_s ? ((__u64)flow->active_since_s + config->active_s) * 1000000000 : ~0ULL;
}

/* When a sweep has something to do with the flow. */
TCPWIN_INLINE __u64 tcpwin_due_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 expires = tcpwin_expires_at(flow, config), active = tcpwin_active_at(flow, config);

	return active < expires ? active : expires;
}

/* Whether such a record would tell anything that the one before did not. */
TCPWIN_INLINE int tcpwin_was_active(const struct tcpwin_flow *flow)
{
	__u64 since = (__u64)flow->active_since_s * 1000000000;

	return flow->direction[0].last_ns >= since || flow->direction[1].last_ns >= since;
}

/* The latest time at which such a record was due. now: not before tcpwin_active_at. */
TCPWIN_INLINE __u32 tcpwin_active_since(const struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 now)
{
	__u32 second = (__u32)(now / 1000000000), period = config->active_s;

	return period ? second - (second - flow->active_since_s) % period : second;
}

/*
 * How long after its expiry the entry of an ended flow stays in the table: linger_ns, or longer where a sender still
 * waits for a window. 0: no time, to make room.
 */
TCPWIN_INLINE __u64 tcpwin_linger(const struct tcpwin_flow *flow, __u64 linger_ns)
{
	if (linger_ns && linger_ns < TCPWIN_CONTINUES_STALLED_NS && tcpwin_has_open_stall(flow))
		return TCPWIN_CONTINUES_STALLED_NS;
	return linger_ns;
}

/*
 * A new flow in place of one of the same key that has ended. If that was not long ago, it names it, and goes on with
 * what was known of the connection.
 */
TCPWIN_INLINE void tcpwin_succeed_flow(struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 id,
				       __u32 ifindex, const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	__u64 forgotten_at = tcpwin_expires_at(flow, config) + tcpwin_linger(flow, TCPWIN_CONTINUES_NS);

	if (now >= forgotten_at) {
		tcpwin_begin_flow(flow, id, ifindex, packet, from, now);
		return;
	}
	tcpwin_begin_counting(flow, id, flow->id, ifindex, packet, from, now);
	tcpwin_carry_on(flow);
}

TCPWIN_INLINE void tcpwin_raise(struct tcpwin_direction *direction, enum tcpwin_alarm_kind kind, int report)
{
	direction->alarms |= report ? kind | kind << 4 : kind;
}

TCPWIN_INLINE int tcpwin_counts_window(const struct tcpwin_packet *packet, const struct tcpwin_config *config)
{
	return packet->window < config->window_threshold &&
	       !((config->rules & TCPWIN_RULE_SKIP_SYN_RST_WINDOWS) &&
		 (packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST)));
}

TCPWIN_INLINE void tcpwin_close(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
				const struct tcpwin_config *config)
{
	direction->state = TCPWIN_STATE_ABRT;
	direction->timeout = TCPWIN_TIMEOUT_EST;
	if (!(config->rules & TCPWIN_RULE_FIN_TIMEOUT))
		return;
	direction->timeout = TCPWIN_TIMEOUT_FIN;
	if ((direction->stat & TCPWIN_FLAG_RST) && reverse->packets) {
		reverse->state = TCPWIN_STATE_ABRT;
		reverse->timeout = TCPWIN_TIMEOUT_FIN;
	}
}

TCPWIN_INLINE void tcpwin_reach_abort_count(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
					    const struct tcpwin_config *config)
{
	__u8 timeout =
		config->on_threshold == TCPWIN_ON_THRESHOLD_TERMINATE ? TCPWIN_TIMEOUT_TERMINATED : TCPWIN_TIMEOUT_ABRT;

	if (!(direction->alarms & TCPWIN_ALARM_ABORT_COUNT))
		tcpwin_raise(direction, TCPWIN_ALARM_ABORT_COUNT, config->rules & TCPWIN_RULE_ABORT_ALARM);
	if (config->on_threshold == TCPWIN_ON_THRESHOLD_COUNT)
		return;
	direction->stat |= TCPWIN_STAT_ABORTED;
	direction->state = TCPWIN_STATE_ABRT;
	direction->timeout = timeout;
	if (reverse->packets) {
		reverse->state = TCPWIN_STATE_ABRT;
		reverse->timeout = timeout;
	}
}

/*
 * One step of the state machine for the direction that sent the packet. reverse may have no packets: it then does not
 * exist yet, and nothing is done to it.
 */
TCPWIN_INLINE void tcpwin_step(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
			       const struct tcpwin_packet *packet, const struct tcpwin_config *config)
{
	if (tcpwin_counts_window(packet, config)) {
		direction->zero_window_count += packet->segments;
		direction->stat |= TCPWIN_STAT_BELOW_THRESHOLD;
	}
	direction->stat |= packet->tcp_flags & TCPWIN_STAT_FLAGS;

	switch (direction->state) {
	case TCPWIN_STATE_NEW:
		if (direction->stat & TCPWIN_FLAG_SYN) {
			direction->timeout = TCPWIN_TIMEOUT_BGN;
			direction->state = TCPWIN_STATE_BGN;
			return;
		}
		if (!(direction->stat & TCPWIN_FLAG_ACK))
			return;
		direction->state = TCPWIN_STATE_EST;
		/* fall through */
	case TCPWIN_STATE_BGN: /* by the tutorial, the state stays BGN for life or until it is ABRT */
		if (config->rules & TCPWIN_RULE_PROMOTE_ESTABLISHED)
			direction->state = TCPWIN_STATE_EST;
		direction->timeout = TCPWIN_TIMEOUT_EST;
		/* fall through */
	case TCPWIN_STATE_EST:
		if (direction->stat & (TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST))
			tcpwin_close(direction, reverse, config);
		else if (direction->zero_window_count >= config->abort_count)
			tcpwin_reach_abort_count(direction, reverse, config);
		return;
	default: /* ABRT */
		if (direction->timeout != TCPWIN_TIMEOUT_FIN && direction->timeout != TCPWIN_TIMEOUT_TERMINATED)
			direction->timeout = TCPWIN_TIMEOUT_ABRT;
	}
}

/*
 * Whether a packet surely raises no alarm and opens or ends no stall: nearly all. The first look before counting, for
 * who has no time for the rest.
 */
TCPWIN_INLINE int tcpwin_is_quiet(const struct tcpwin_flow *flow, const struct tcpwin_config *config,
				  const struct tcpwin_packet *packet, __u32 from)
{
	const struct tcpwin_direction *direction = &flow->direction[from & 1];

	return packet->window && packet->window >= config->window_threshold && !flow->stalled &&
	       (direction->zero_window_count < config->abort_count || (direction->alarms & TCPWIN_ALARM_ABORT_COUNT));
}

/* A packet comes: is there a window that has been closed for too long? */
TCPWIN_INLINE void tcpwin_note_long_stalls(struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 now)
{
	if (!config->stall_alarm_ns)
		return;
	for (int i = 0; i < 2; i++) {
		struct tcpwin_analysis *stats = &flow->analysis[i];
		if (!(flow->stalled >> i & 1) || (stats->flags & TCPWIN_ANALYSIS_ALARM) ||
		    tcpwin_since(stats->stalled_since_ns, now) < config->stall_alarm_ns)
			continue;
		stats->flags |= TCPWIN_ANALYSIS_ALARM;
		tcpwin_raise(&flow->direction[i], TCPWIN_ALARM_STALL, 1);
	}
}

/* The window of endpoint has closed, now that of so many flows of its address. */
TCPWIN_INLINE void tcpwin_note_stalled_flows(struct tcpwin_flow *flow, __u32 endpoint, __s64 stalled_flows,
					     const struct tcpwin_config *config)
{
	if (config->source_alarm && stalled_flows > config->source_alarm)
		tcpwin_raise(&flow->direction[endpoint & 1], TCPWIN_ALARM_STALLED_FLOWS,
			     stalled_flows == (__s64)config->source_alarm + 1);
}

TCPWIN_INLINE int tcpwin_has_alarms(const struct tcpwin_flow *flow)
{
	return TCPWIN_ALARM_PENDING(flow->direction[0].alarms | flow->direction[1].alarms);
}

/* What the packet that was just counted raised; it is not pending any more. */
TCPWIN_INLINE void tcpwin_take_alarms(struct tcpwin_alarm *alarm, const struct tcpwin_key *key,
				      struct tcpwin_flow *flow, __u32 stalled_flows, __u64 now)
{
	__builtin_memset(alarm, 0, sizeof(*alarm));
	alarm->key = *key;
	alarm->flow_id = flow->id;
	alarm->now_ns = now;
	alarm->ifindex = flow->ifindex;
	alarm->a_side = flow->a_side;
	for (int i = 0; i < 2; i++) {
		alarm->stalled_since_ns[i] = flow->analysis[i].stalled_since_ns;
		alarm->zero_window_count[i] = flow->direction[i].zero_window_count;
		alarm->raised[i] = TCPWIN_ALARM_PENDING(flow->direction[i].alarms);
		flow->direction[i].alarms &= TCPWIN_ALARM_ALL;
	}
	if ((alarm->raised[0] | alarm->raised[1]) & TCPWIN_ALARM_STALLED_FLOWS)
		alarm->stalled_flows = stalled_flows;
}

TCPWIN_INLINE void tcpwin_add_packet(struct tcpwin_flow *flow, struct tcpwin_direction *direction,
				     const struct tcpwin_packet *packet, __u64 now)
{
	/* The clock may be read before another CPU's packet is counted: never go back. */
	if (now > direction->last_ns)
		direction->last_ns = now;
	direction->packets += packet->segments;
	direction->bytes += packet->bytes;
	flow->hooks |= packet->hook;
}

/*
 * Counts a later fragment of a packet that this flow has: it refreshes last_seen
 * and adds to packets and bytes, nothing else.
 */
TCPWIN_INLINE void tcpwin_refresh_flow(struct tcpwin_flow *flow, const struct tcpwin_packet *packet, __u32 from,
				       __u64 now)
{
	struct tcpwin_direction *direction = &flow->direction[from & 1];

	tcpwin_add_packet(flow, direction, packet, now);
	tcpwin_note_recent(flow, direction);
}

/* Counts a packet of the flow at time now. from: what tcpwin_make_key returned, 0 or 1. */
TCPWIN_INLINE void tcpwin_update_flow(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				      const struct tcpwin_packet *packet, __u32 from, __u64 now)
{
	struct tcpwin_direction *direction = &flow->direction[from & 1];
	struct tcpwin_direction *reverse = &flow->direction[~from & 1];

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
	if (packet->tcp_flags & TCPWIN_FLAG_SYN)
		direction->window_scale = packet->window_scale;
	tcpwin_step(direction, reverse, packet, config);
	tcpwin_note_recent(flow, direction);
}

/* The same, with the stall analysis or without it. For callers that are not on the way of nearly all packets. */
TCPWIN_INLINE void tcpwin_count_packet_slow(struct tcpwin_flow *flow, const struct tcpwin_config *config,
					    const struct tcpwin_packet *packet, __u32 from, __u64 now, int analyze)
{
	if (flow->stalled)
		tcpwin_note_long_stalls(flow, config, now);
	tcpwin_update_flow(flow, config, packet, from, now);
	if (analyze)
		tcpwin_analyze_slow(flow, packet, from, now);
	else
		flow->analyzed = 0;
}

/* The same of a packet that tcpwin_is_quiet, in fewer steps for most, and more code. */
TCPWIN_INLINE void tcpwin_count_packet(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				       const struct tcpwin_packet *packet, __u32 from, __u64 now, int analyze)
{
	tcpwin_update_flow(flow, config, packet, from, now);
	TCPWIN_NEXT_STEP(from);
	if (analyze)
		tcpwin_analyze(flow, packet, from, now);
	else
		flow->analyzed = 0;
}

/* The packet that was just counted, for packet mode; previous_ns: the direction's last_ns before it. */
TCPWIN_INLINE void tcpwin_fill_packet_event(struct tcpwin_packet_event *event, const struct tcpwin_key *key,
					    const struct tcpwin_flow *flow, const struct tcpwin_packet *packet,
					    __u32 from, __u64 now, __u64 previous_ns, int later_fragment)
{
	const struct tcpwin_direction *direction = &flow->direction[from & 1];

	event->key = *key;
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

TCPWIN_INLINE void tcpwin_make_fragment_key(const struct tcpwin_packet *packet, struct tcpwin_fragment_key *key)
{
	key->source = packet->source;
	key->destination = packet->destination;
	key->id = packet->fragment_id;
	key->vlan = packet->vlan;
	key->scope = packet->scope;
}

#endif
