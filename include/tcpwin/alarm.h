/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Alarms of a receiver whose window is closed or limits its peer, and the table
 * of stalled hosts: in how many flows the window of each address is closed.
 *
 * Pure functions. The caller has the table of hosts: for each endpoint whose
 * tcpwin_stalled_change is not 0 it adds the change to the host's entry (see
 * tcpwin_make_host), and hands the sum to tcpwin_note_stalled_flows.
 */
#ifndef TCPWIN_ALARM_H
#define TCPWIN_ALARM_H

#include "limits.h"
#include "messages.h"
#include "segment.h"

TCPWIN_INLINE void tcpwin_raise(struct tcpwin_direction *direction, enum tcpwin_alarm_kind kind, int report)
{
	direction->alarms |= report ? kind | kind << 4 : kind;
}

/* Called when a packet arrives, for windows that have been closed for too long. */
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

/*
 * Called after a packet was analyzed. due: tcpwin_limits_due before it. The sender must still use up the window, wait for
 * it, or have done so until this packet.
 */
TCPWIN_INLINE void tcpwin_note_long_limits(struct tcpwin_flow *flow, __u32 due, __u64 now)
{
	for (int i = 0; i < 2; i++) {
		struct tcpwin_limits *limits = &flow->limits[i];
		if (!(due >> i & 1) || !(limits->phase & TCPWIN_LIMITS_RUN) ||
		    (tcpwin_phase(limits) < TCPWIN_LIMITS_RECEIVER && limits->since != tcpwin_limits_time(now)))
			continue;
		limits->phase |= TCPWIN_LIMITS_ALARM;
		tcpwin_raise(&flow->direction[!i], TCPWIN_ALARM_LIMITED, 1);
	}
}

/*
 * How the number of stalled flows of an endpoint's host changes: 1, 0 or -1. was, is: tcpwin_flow.stalled before and
 * after a packet; a flow that ends has 0 after it.
 */
TCPWIN_INLINE int tcpwin_stalled_change(__u32 was, __u32 is, __u32 endpoint)
{
	const __u32 either = (TCPWIN_CLOSED_WINDOW | TCPWIN_SMALL_WINDOW) << (endpoint & 1);

	return !!(is & either) - !!(was & either);
}

/* Called when the window of endpoint has closed; stalled_flows: the number of such flows of its host now. */
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

/* Moves what the last packet raised into alarm. stalled_flows: of the host whose window that packet closed. */
TCPWIN_INLINE void tcpwin_take_alarms(struct tcpwin_alarm *alarm, const struct tcpwin_key *key,
				      struct tcpwin_flow *flow, __u32 stalled_flows, __u64 now)
{
	__builtin_memset(alarm, 0, sizeof(*alarm));
	alarm->type = TCPWIN_MESSAGE_ALARM;
	alarm->key = *key;
	alarm->flow_id = flow->id;
	alarm->now_ns = now;
	alarm->ifindex = flow->ifindex;
	alarm->a_side = flow->a_side;
	for (int i = 0; i < 2; i++) {
		alarm->stalled_since_ns[i] = flow->analysis[i].stalled_since_ns;
		alarm->limited_ns[i] = tcpwin_run_ns(&flow->limits[!i], now);
		alarm->zero_window_count[i] = flow->direction[i].zero_window_count;
		alarm->raised[i] = TCPWIN_ALARM_PENDING(flow->direction[i].alarms);
		flow->direction[i].alarms &= TCPWIN_ALARM_ALL;
	}
	__builtin_memcpy(alarm->socket, flow->socket, sizeof(alarm->socket));
	if ((alarm->raised[0] | alarm->raised[1]) & TCPWIN_ALARM_STALLED_FLOWS)
		alarm->stalled_flows = stalled_flows;
}

#endif
