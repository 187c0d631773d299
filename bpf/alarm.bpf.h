/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of stalled hosts, and alarms on their way to the agent. The rules
 * are in tcpwin/alarm.h.
 */
#ifndef TCPWIN_ALARM_BPF_H
#define TCPWIN_ALARM_BPF_H

#include "arrival.bpf.h"

/* Returns the host's new number of stalled flows; 0 if the table cannot hold the host. */
static __always_inline __s64 add_stalled(const struct tcpwin_key *key, __u32 endpoint, __s64 change)
{
	struct tcpwin_stalled_host host;

	tcpwin_make_host(key, endpoint, &host);
	__s64 none = 0, *flows_of_host = bpf_map_lookup_elem(&stalled_hosts, &host);

	if (!flows_of_host && change > 0) {
		bpf_map_update_elem(&stalled_hosts, &host, &none, BPF_NOEXIST); /* or another CPU did */
		flows_of_host = bpf_map_lookup_elem(&stalled_hosts, &host);
	}
	return flows_of_host ? __sync_fetch_and_add(flows_of_host, change) + change : 0;
}

/* For a flow that ended with a closed window. This function and the next are global: the verifier checks each once. */
__attribute__((noinline)) int forget_stalled(const struct tcpwin_key *key, __u32 stalled)
{
	if (!key)
		return 0;
	for (int i = 0; i < 2; i++)
		if (tcpwin_stalled_change(stalled, 0, i))
			add_stalled(key, i, -1);
	return 0;
}

/* Called after a packet was counted, while its flow is locked. */
__attribute__((noinline)) int note_alarms(struct arrival *arrival, struct tcpwin_flow *flow)
{
	__u32 only = 0, stalled_flows = 0;

	if (!flow || !arrival)
		return 0;
	for (int i = 0; i < 2; i++) {
		int change = tcpwin_stalled_change(arrival->stalled, flow->stalled, i);
		if (!change)
			continue;
		__s64 n = add_stalled(&arrival->key, i, change);
		if (change < 0)
			continue;
		stalled_flows = n;
		tcpwin_note_stalled_flows(flow, i, n, &config);
	}
	struct tcpwin_alarm *alarm = tcpwin_has_alarms(flow) ? bpf_map_lookup_elem(&scratch_alarm, &only) : NULL;
	if (alarm)
		tcpwin_take_alarms(alarm, &arrival->key, flow, stalled_flows, arrival->now);
	arrival->alarmed = alarm != NULL;
	return 0;
}

static __always_inline void note_any_alarms(struct arrival *arrival, struct tcpwin_flow *flow)
{
	arrival->alarmed = 0;
	if (flow->stalled != arrival->stalled || tcpwin_has_alarms(flow))
		note_alarms(arrival, flow);
}

/* Called after the flow was unlocked. */
static __always_inline void report_alarm(const struct arrival *arrival)
{
	__u32 only = 0;
	struct tcpwin_alarm *alarm = arrival->alarmed ? bpf_map_lookup_elem(&scratch_alarm, &only) : NULL;

	if (alarm && bpf_ringbuf_output(&records, alarm, sizeof(*alarm), 0))
		count(TCPWIN_COUNTER_ALARMS_UNREPORTED);
}

#endif
