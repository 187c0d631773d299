/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Later fragments have no TCP header. They are counted in the flow of their
 * first fragment.
 */
#ifndef TCPWIN_FRAGMENT_BPF_H
#define TCPWIN_FRAGMENT_BPF_H

#include "ownership.bpf.h"
#include "report.bpf.h"

/* Out of line because of its stack. If the map cannot hold the entry, later fragments become HEADLESS_FRAGMENT. */
static __attribute__((noinline)) int remember_fragment(const struct arrival *arrival)
{
	struct tcpwin_fragment fragment = {arrival->key, arrival->flow_id, arrival->from, 0};
	struct tcpwin_fragment_key key;

	tcpwin_make_fragment_key(&arrival->packet, &config, &key);
	return bpf_map_update_elem(&fragments, &key, &fragment, BPF_ANY);
}

/* Counts only in the flow of the first fragment, while it is live, not in a later flow of the same key. */
static __always_inline enum verdict count_fragment(struct tcpwin_flow *flow, struct arrival *arrival)
{
	struct tcpwin_packet_event *event = NULL;
	int lock = lock_flow(flow, arrival->key_hash);

	if (lock == LOCK_CONTENDED)
		return UNTRACKED_CONTENDED;
	if (lock == LOCK_GONE)
		return HEADLESS_FRAGMENT;

	bool known =
		lock == LOCKED_LIVE && flow->id == arrival->flow_id && !tcpwin_is_expired(flow, &config, arrival->now);
	if (known) {
		note_previous(arrival, flow);
		tcpwin_refresh_flow(flow, &config, &arrival->packet, arrival->from, arrival->now);
		event = fill_event(arrival, flow, 1);
	}
	if (lock == LOCKED_ENDED)
		unlock_ended(flow);
	else
		unlock_flow(flow);
	if (!known)
		return HEADLESS_FRAGMENT;
	report_packet(event);
	return TRACKED;
}

static __attribute__((noinline)) enum verdict track_fragment(struct arrival *arrival)
{
	struct tcpwin_fragment_key key;

	tcpwin_make_fragment_key(&arrival->packet, &config, &key);
	struct tcpwin_fragment *first = bpf_map_lookup_elem(&fragments, &key);
	if (!first)
		return HEADLESS_FRAGMENT;
	arrival->key = first->key;
	arrival->flow_id = first->flow_id;
	arrival->from = first->from & 1;
	arrival->key_hash = tcpwin_hash_key(&arrival->key);
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);
	return flow ? count_fragment(flow, arrival) : HEADLESS_FRAGMENT;
}

#endif
