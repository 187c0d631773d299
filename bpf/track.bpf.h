/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting a packet in its flow: the fast path, an existing flow, a new one.
 */
#ifndef TCPWIN_TRACK_BPF_H
#define TCPWIN_TRACK_BPF_H

#include "evict.bpf.h"
#include <linux/errno.h>

#define MAX_LOOKUPS 256
#define MAX_EVICTIONS 16 /* by one packet: other CPUs may take the entries */

/* Begins a flow in place of one that has ended. */
static __always_inline void begin(struct tcpwin_flow *flow, const struct arrival *arrival)
{
	__u64 id = __sync_fetch_and_add(&flows_numbered, 1) + 1;

	tcpwin_succeed_flow(flow, &config, id, arrival->ifindex, &arrival->packet, arrival->from, arrival->now);
	remember_number(arrival, id);
}

static __always_inline bool is_cut(const struct tcpwin_flow *flow, const struct arrival *arrival)
{
	return tcpwin_is_cut(flow, &config, &arrival->packet, arrival->from, arrival->now);
}

/* Returns what tcpwin_count_packet_slow returns. */
static __always_inline __u32 count_packet(struct tcpwin_flow *flow, struct arrival *arrival)
{
	arrival->stalled = flow->stalled;
	arrival->hooks = flow->hooks;
	return tcpwin_count_packet_slow(flow, &config, &arrival->packet, arrival->from, arrival->now, analyze_stalls);
}

static __always_inline void count_judgement(__u32 judgement)
{
	struct tcpwin_counters *mine = judgement ? this_cpu_counters() : NULL;

	if (mine)
		tcpwin_count_judgement(mine, judgement);
}

/* Called before the flow is unlocked: a sweep that ends it immediately must find it counted. */
static __always_inline __u64 add_live_flow(void)
{
	return __sync_fetch_and_add(&live_flows, 1) + 1;
}

static __always_inline void note_peak(__u64 live)
{
	struct tcpwin_counters *mine = this_cpu_counters();

	if (mine && live > mine->peak_flows)
		mine->peak_flows = live;
}

/*
 * Called for a flow that is new or whose timeout changed; all others are due later than when the last sweep met them.
 * So the agent knows without a sweep that nothing is due. The loser of a race for the word leaves 0 ("now"), which
 * causes one unnecessary sweep.
 */
static __always_inline void note_due(const struct tcpwin_flow *flow)
{
	__u64 due = __sync_fetch_and_add(&due_ns, 0); /* a barrier: whoever set it since sees the flow as it is now */
	__u64 next = tcpwin_due_at(flow, &config);

	if (next < due && __sync_val_compare_and_swap(&due_ns, due, next) != due)
		due_ns = 0;
}

/*
 * The flow is inserted BUSY, with its first packet counted, and numbered once it
 * is in place, so a full table or a lost creation race uses up no number. A BUSY
 * entry is never deleted, so the second lookup finds it.
 */
__attribute__((noinline)) int create(struct arrival *arrival)
{
	__u32 only = 0;
	bool full = live_flows >= max_flows;

	if (!arrival)
		return UNTRACKED_CONTENDED;
	if (full)
		prefetch_victim();
	struct fresh *fresh = bpf_map_lookup_elem(&fresh_flow, &only);

	if (!fresh)
		return UNTRACKED_CONTENDED;
	/* In a full table, without the attempt that would fail: during a flood it would take half of the time. */
	if (full && arrival->evictions < MAX_EVICTIONS) {
		arrival->evictions++;
		evict(arrival->now);
	}
	fresh->key = arrival->key;
	fresh->flow.seq = tcpwin_busy_seq(arrival->key_hash, arrival->now);
	tcpwin_begin_flow(&fresh->flow, 0, arrival->ifindex, &arrival->packet, arrival->from, arrival->now);
	count_packet(&fresh->flow, arrival);

	long error = bpf_map_update_elem(&flows, &fresh->key, &fresh->flow, BPF_NOEXIST);
	if (error == -EEXIST || error == -EBUSY)
		return LOOK_UP_AGAIN;
	if (error) {
		if (arrival->evictions++ < MAX_EVICTIONS && evict(arrival->now))
			return LOOK_UP_AGAIN;
		note_untracked_flow(arrival->key_hash);
		return UNTRACKED_FULL;
	}
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &fresh->key);
	if (!flow)
		return UNTRACKED_CONTENDED;
	flow->id = arrival->flow_id = __sync_fetch_and_add(&flows_numbered, 1) + 1;
	struct tcpwin_packet_event *event = fill_event(arrival, flow, 0);
	note_any_alarms(arrival, flow);
	__u64 live = add_live_flow();
	note_due(flow);
	unlock_flow(flow);
	remember_number(arrival, arrival->flow_id);
	notify_filling(arrival->flow_id, arrival->now);
	count(TCPWIN_COUNTER_FLOWS_CREATED);
	note_peak(live);
	report_alarm(arrival);
	report_packet(event);
	return TRACKED;
}

/*
 * Counts the packet in its flow. If the flow has expired, or the packet begins another connection, it cuts the flow
 * first. Returns enum verdict, as create does.
 *
 * Ring-buffer space is reserved before the flow is locked and submitted after it
 * is unlocked, so that no holder of a flow waits for the ring buffer's lock.
 * Whether to reserve is guessed by reading the flow without the lock; if a packet
 * made the flow expire since, we start over. If there is no space, the flow
 * continues as if it had not expired: it becomes longer than it should be, but no
 * packet is lost.
 */
__attribute__((noinline)) int update(struct tcpwin_flow *flow, struct arrival *arrival)
{
	struct tcpwin_record *record = NULL;
	enum { PROLONGED, BEGUN, CUT, DEFERRED } outcome = PROLONGED;

	if (!flow || !arrival)
		return UNTRACKED_CONTENDED;
	bool looks_cut = is_free(read_seq(flow)) && is_cut(flow, arrival);

	if (looks_cut)
		record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	int lock = lock_flow(flow, arrival->key_hash);
	if (lock == LOCK_GONE || lock == LOCK_CONTENDED) {
		if (record)
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return lock == LOCK_GONE ? LOOK_UP_AGAIN : UNTRACKED_CONTENDED;
	}

	if (lock == LOCKED_ENDED) { /* the entry is used again */
		begin(flow, arrival);
		note_peak(add_live_flow());
		outcome = BEGUN;
	} else if (is_cut(flow, arrival)) {
		if (record) {
			tcpwin_fill_record(record, &arrival->key, flow, arrival->now,
					   tcpwin_cut_reason(flow, &config, arrival->now));
			if (flow->stalled)
				forget_stalled(&arrival->key, flow->stalled);
			begin(flow, arrival);
			outcome = CUT;
		} else if (!looks_cut) {
			unlock_flow(flow);
			return LOOK_UP_AGAIN;
		} else {
			outcome = DEFERRED;
		}
	}
	note_previous(arrival, flow);
	count_judgement(count_packet(flow, arrival));
	note_any_alarms(arrival, flow);
	arrival->flow_id = flow->id;
	struct tcpwin_packet_event *event = fill_event(arrival, flow, 0);
	note_due(flow);
	unlock_flow(flow);

	if (outcome == BEGUN || outcome == CUT)
		count(TCPWIN_COUNTER_FLOWS_CREATED);
	if (outcome == DEFERRED)
		count(TCPWIN_COUNTER_DEFERRED_CUTS);
	if (outcome == CUT) {
		bpf_ringbuf_submit(record, 0);
		count(TCPWIN_COUNTER_FLOWS_CUT);
	} else if (record) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	}
	report_alarm(arrival);
	report_packet(event);
	return TRACKED;
}

/*
 * The path of nearly all packets: they raise no alarm, and their flow is live, free and certainly not expired. Returns
 * false if it did nothing. What was read before the flow was locked is valid, because the word proves that nobody wrote
 * meanwhile.
 */
static __always_inline bool count_fast(struct tcpwin_flow *flow, struct arrival *arrival)
{
	/* Prefetch: these lines come from memory together with those that are read before the flow is locked. */
	(void)*(const volatile __u64 *)&flow->direction[arrival->from & 1].packets;
	if (analyze_stalls)
		(void)*(const volatile __u8 *)&flow->progress[1].flags;
	__u64 seq = read_seq_acquire(flow);

	arrival->hooks = flow->hooks;
	if (report_packets || tcpwin_hash_of(seq) != arrival->key_hash || !is_free(seq) ||
	    arrival->now >= tcpwin_expires_after(flow, &config) ||
	    !tcpwin_is_quiet(flow, &config, &arrival->packet, arrival->from, arrival->now, analyze_stalls))
		return false;
	if (!swap_seq(flow, seq, seq | TCPWIN_MARK_BUSY))
		return false;
	__u8 timeout = flow->direction[arrival->from & 1].timeout;
	tcpwin_count_packet(flow, &config, &arrival->packet, arrival->from, arrival->now, analyze_stalls);
	arrival->flow_id = flow->id;
	if (flow->direction[arrival->from & 1].timeout != timeout) /* the other direction's never changes alone */
		note_due(flow);
	unlock_flow(flow);
	return true;
}

/* Retries while an entry is being deleted or another CPU creates it, which takes that CPU longer than one lookup. */
static __always_inline enum verdict count_slow(struct tcpwin_flow *flow, struct arrival *arrival)
{
	for (int i = 0; i < MAX_LOOKUPS; i++) {
		int verdict = flow ? update(flow, arrival) : create(arrival);
		if (verdict != LOOK_UP_AGAIN)
			return (enum verdict)verdict;
		flow = bpf_map_lookup_elem(&flows, &arrival->key);
	}
	return UNTRACKED_CONTENDED;
}

static __always_inline enum verdict track(struct arrival *arrival)
{
	arrival->from = tcpwin_make_key(&arrival->packet, &config, &arrival->key);
	arrival->key_hash = tcpwin_hash_key(&arrival->key);
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);

	return flow && count_fast(flow, arrival) ? TRACKED : count_slow(flow, arrival);
}

#endif
