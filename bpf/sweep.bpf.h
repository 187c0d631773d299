/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sweep over the table: exports flows that have ended, makes interim
 * records, removes entries. When and why a flow ends: tcpwin/expiry.h.
 */
#ifndef TCPWIN_SWEEP_BPF_H
#define TCPWIN_SWEEP_BPF_H

#include "evict.bpf.h"

struct bpf_map;

#define NEVER (~0ULL)
#define NO_TIMEOUT (NEVER / 2) /* later than any time, even if it is added to one */

/* The copy in the ring buffer becomes the flow's record if no packet changed the flow since. */
static __always_inline bool export(struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq,
				   enum tcpwin_end_reason reason, struct tcpwin_sweep *sweep)
{
	struct tcpwin_record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		sweep->ring_full = 1;
		return false;
	}
	tcpwin_fill_record(record, key, flow, sweep->now_ns, reason);
	if (!swap_seq(flow, seq, seq | TCPWIN_MARK_ENDED)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return false;
	}
	__sync_fetch_and_sub(&live_flows, 1);
	if (record->flow.stalled)
		forget_stalled(&record->key, record->flow.stalled);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP); /* the agent reads when the sweep returns */
	sweep->exported++;
	return true;
}

/*
 * An interim record. A step of the sequence proves that the copy is consistent, and disturbs no packet: one that
 * read the word before retries. Only the sweep writes active_since_s; if a packet begins a flow in the same entry
 * meanwhile, the value of that flow becomes no later than now.
 */
static __always_inline bool export_interim(struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq,
					   struct tcpwin_sweep *sweep)
{
	__u32 since = tcpwin_active_since(flow, &config, sweep->now_ns);

	if (tcpwin_was_active(flow)) {
		struct tcpwin_record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
		if (!record) {
			sweep->ring_full = 1;
			return false;
		}
		tcpwin_fill_record(record, key, flow, sweep->now_ns, TCPWIN_END_ACTIVE_TIMEOUT);
		if (!swap_seq(flow, seq, tcpwin_next_seq(seq))) {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
			return false;
		}
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
		sweep->interim++;
	}
	flow->active_since_s = since;
	return true;
}

static __always_inline bool remove(struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq,
				   struct tcpwin_sweep *sweep)
{
	if (!swap_seq(flow, seq, seq | TCPWIN_MARK_DYING))
		return false;
	if (!delete_dying(key, flow))
		return false;
	sweep->deleted++;
	return true;
}

static __always_inline void keep(__u64 due, struct tcpwin_sweep *sweep)
{
	sweep->remaining++;
	if (due < sweep->due_ns)
		sweep->due_ns = due;
}

/* An entry that may need attention. */
static __attribute__((noinline)) long sweep_closely(struct tcpwin_key *key, struct tcpwin_flow *flow,
						    struct tcpwin_sweep *sweep)
{
	__u64 seq = read_seq_acquire(flow);
	__u64 due = tcpwin_expires_after(flow, &config);

	if (sweep->now_ns >= due || !is_free(seq))
		due = tcpwin_expires_at(flow, &config);
	bool gone = sweep->ifindex && flow->ifindex == sweep->ifindex;
	if (is_free(seq) && (sweep->shutdown || gone || sweep->now_ns >= due)) {
		enum tcpwin_end_reason reason = tcpwin_reason_to_end(flow, &config, sweep->now_ns >= due, gone);
		if (export(key, flow, seq, reason, sweep))
			seq |= TCPWIN_MARK_ENDED;
	} else if (is_free(seq) && tcpwin_ends_early(flow, sweep->unanswered_ns, sweep->now_ns)) {
		if (export(key, flow, seq, TCPWIN_END_UNANSWERED_TIMEOUT, sweep)) {
			seq |= TCPWIN_MARK_ENDED;
			sweep->early++;
		}
	} else if (is_free(seq)) {
		__u64 active = tcpwin_active_at(flow, &config);
		if (sweep->now_ns >= active && export_interim(key, flow, seq, sweep))
			active = tcpwin_active_at(flow, &config);
		if (active < due)
			due = active;
	}
	__u32 mark = tcpwin_mark_of(seq);
	if (mark == TCPWIN_MARK_ENDED)
		due = sweep->linger_ns ? due + tcpwin_linger(flow, sweep->linger_ns) : 0;
	bool removable = mark == TCPWIN_MARK_ENDED && (sweep->shutdown || sweep->now_ns >= due);
	if (!removable || !remove(key, flow, seq, sweep))
		keep(due, sweep);
	return sweep->ring_full ? 1 : 0;
}

/* Few instructions for the many entries that need no attention, so that the CPU can fetch the next ones meanwhile. */
static long sweep_entry(struct bpf_map *map, struct tcpwin_key *key, struct tcpwin_flow *flow,
			struct tcpwin_sweep *sweep)
{
	__u64 seq = read_seq_acquire(flow);
	__u64 due = tcpwin_expires_after(flow, &config);

	if (!is_free(seq) || sweep->now_ns >= due || sweep->closely ||
	    tcpwin_ends_early(flow, sweep->unanswered_ns, sweep->now_ns))
		return sweep_closely(key, flow, sweep);
	keep(due, sweep);
	return 0;
}

static __always_inline void sweep_table(struct tcpwin_sweep *sweep)
{
	if (sweep->now_ns == TCPWIN_CLOCK_NOW)
		sweep->now_ns = bpf_ktime_get_boot_ns();
	if (sweep->examine)
		tcpwin_update_pressure(&pressure, &config, max_flows, live_flows, sweep->now_ns);
	if (pressure.since_ns)
		sweep->linger_ns = 0;
	sweep->unanswered_ns = sweep->examine && pressure.since_ns ? config.unanswered_ns : NO_TIMEOUT;
	sweep->due_ns = NEVER;
	sweep->closely = sweep->shutdown || sweep->ifindex || config.active_s;
	__sync_lock_test_and_set(&due_ns, NEVER); /* a barrier: packets note what they change from here on */
	bpf_for_each_map_elem(&flows, sweep_entry, sweep, 0);
	__sync_fetch_and_add(&pressure.ended_early, sweep->early);
	if (sweep->examine)
		prepare_evictions(sweep->remaining);
	if (sweep->ring_full)
		sweep->due_ns = 0;
}

#endif
