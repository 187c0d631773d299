/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Making room for a new flow in a full table. The rules are in tcpwin/pressure.h.
 *
 * numbered_keys has the keys of the youngest flows, oldest_flow is the number
 * that is examined next; half_open_flows has those that were put aside. A flow is
 * found by its key and known by its number, so an entry of numbered_keys that is
 * overwritten or half-written does no harm.
 */
#ifndef TCPWIN_EVICT_BPF_H
#define TCPWIN_EVICT_BPF_H

#include "alarm.bpf.h"
#include "ownership.bpf.h"
#include "report.bpf.h"

#define MAX_PASSED_OVER (1U << 23) /* bpf_loop's limit */

/* Called for every flow that begins, once it is in the table. */
__attribute__((noinline)) int remember_number(const struct arrival *arrival, __u64 number)
{
	__u32 slot = number % max_flows;
	struct tcpwin_key *key = bpf_map_lookup_elem(&numbered_keys, &slot);

	if (key && arrival)
		*key = arrival->key;
	return 0;
}

/* The flow with this number, if it is in the table; fills key. */
static __always_inline struct tcpwin_flow *find_flow(__u64 number, struct tcpwin_key *key)
{
	__u32 slot = number % max_flows;
	const struct tcpwin_key *remembered = bpf_map_lookup_elem(&numbered_keys, &slot);

	if (!remembered)
		return NULL;
	*key = *remembered;
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, key);
	return flow && flow->id == number ? flow : NULL;
}

/*
 * Loads what evict() will read of the flow that is examined next. To be called directly after the lookup that did not
 * find the flow of the packet: the CPU waits for both lookups at the same time, unless an atomic stands between them.
 */
static __always_inline void prefetch_victim(void)
{
	__u32 slot = oldest_flow % max_flows;
	const struct tcpwin_key *remembered = bpf_map_lookup_elem(&numbered_keys, &slot);
	struct tcpwin_flow *flow = remembered ? bpf_map_lookup_elem(&flows, remembered) : NULL;

	if (!flow)
		return;
	(void)*(const volatile __u64 *)&flow->seq;
	(void)*(const volatile __u8 *)&flow->direction[0].tcp_flags;
	(void)*(const volatile __u8 *)&flow->direction[1].tcp_flags;
}

/* Returns the number that is examined next; 0: no flow is left. */
static __always_inline __u64 next_number(void)
{
	__u64 youngest = flows_numbered, oldest = oldest_flow;
	__u64 first = tcpwin_first_remembered(youngest, max_flows);

	if (oldest < first) {
		__sync_val_compare_and_swap(&oldest_flow, oldest, first);
		oldest = first;
	}
	return oldest <= youngest ? oldest : 0;
}

/* Whether the entry with this word can be given to another flow. */
static __always_inline bool is_candidate(const struct tcpwin_flow *flow, __u64 seq)
{
	__u32 mark = tcpwin_mark_of(seq);

	return mark == TCPWIN_MARK_ENDED || (mark == TCPWIN_MARK_FREE && tcpwin_is_unanswered(flow));
}

/* Whether it is put aside, because it may still be answered. */
static __always_inline bool is_half_open(const struct tcpwin_flow *flow, __u64 seq)
{
	return is_free(seq) && tcpwin_is_half_open(flow);
}

static __always_inline void put_aside(const struct tcpwin_key *key, __u64 number)
{
	__u32 slot = __sync_fetch_and_add(&half_open_added, 1) % tcpwin_max_half_open(max_flows);
	struct half_open *aside = bpf_map_lookup_elem(&half_open_flows, &slot);

	if (!aside)
		return;
	aside->key = *key;
	aside->number = number;
}

static __always_inline void count_unrecorded(__u64 packets)
{
	count(TCPWIN_COUNTER_UNRECORDED_FLOWS);
	add_counter(TCPWIN_COUNTER_UNRECORDED_PACKETS, packets);
}

/* Evicted flows leave half of the ring buffer to other records and to alarms. */
static __always_inline struct tcpwin_record *reserve_record(void)
{
	if (bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&records, BPF_RB_RING_SIZE) / 2)
		return NULL;
	return bpf_ringbuf_reserve(&records, sizeof(struct tcpwin_record), 0);
}

/* Ends a live flow, as export() of the sweep does. Its entry is DYING then. */
static __always_inline bool end_unanswered(const struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq, __u64 now)
{
	struct tcpwin_record *record = reserve_record();
	__u64 packets = flow->direction[0].packets + flow->direction[1].packets;
	__u32 stalled = flow->stalled;

	if (record)
		tcpwin_fill_record(record, key, flow, now, TCPWIN_END_EVICTED);
	if (!swap_seq(flow, seq, tcpwin_marked(seq, TCPWIN_MARK_DYING))) {
		if (record)
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return false;
	}
	if (record)
		bpf_ringbuf_submit(record, 0);
	else
		count_unrecorded(packets);
	if (stalled)
		forget_stalled(key, stalled);
	__sync_fetch_and_sub(&live_flows, 1);
	__sync_fetch_and_add(&pressure.ended_early, 1);
	count(TCPWIN_COUNTER_EVICTED_UNANSWERED);
	return true;
}

struct eviction {
	__u64 now;
	__u64 made_room;
};

/* seq: its word. Returns whether its entry is free now. */
static __always_inline bool evict_flow(const struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq, __u64 now)
{
	if (tcpwin_mark_of(seq) == TCPWIN_MARK_ENDED) {
		if (!swap_seq(flow, seq, tcpwin_marked(seq, TCPWIN_MARK_DYING)))
			return false;
		count(TCPWIN_COUNTER_EVICTED_ENDED);
	} else if (!end_unanswered(key, flow, seq, now)) {
		return false;
	}
	return delete_dying(key, flow);
}

/* Returns 1 if the search ends. */
static long evict_next(__u32 index, struct eviction *eviction)
{
	struct tcpwin_key key;
	__u64 number = next_number();

	if (!number)
		return 1;
	if (__sync_val_compare_and_swap(&oldest_flow, number, number + 1) != number)
		return 0;
	struct tcpwin_flow *flow = find_flow(number, &key);
	if (!flow)
		return 0;
	__u64 seq = read_seq_acquire(flow);
	if (flow->id != number || !is_candidate(flow, seq))
		return 0;
	if (is_half_open(flow, seq))
		put_aside(&key, number);
	else
		eviction->made_room = evict_flow(&key, flow, seq, eviction->now);
	return eviction->made_room ? 1 : 0; /* the verifier wants to see these values */
}

/* The same for those that were put aside. */
static long evict_half_open(__u32 index, struct eviction *eviction)
{
	struct tcpwin_key key;
	__u64 added = half_open_added, taken = half_open_taken, size = tcpwin_max_half_open(max_flows);
	__u64 next = added > taken + size ? added - size : taken; /* those before were overwritten */

	if (next >= added)
		return 1;
	if (__sync_val_compare_and_swap(&half_open_taken, taken, next + 1) != taken)
		return 0;
	__u32 slot = next % size;
	const struct half_open *aside = bpf_map_lookup_elem(&half_open_flows, &slot);
	if (!aside)
		return 0;
	__u64 number = aside->number;
	key = aside->key;
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return 0;
	__u64 seq = read_seq_acquire(flow);
	if (flow->id == number && is_candidate(flow, seq))
		eviction->made_room = evict_flow(&key, flow, seq, eviction->now);
	return eviction->made_room ? 1 : 0; /* the verifier wants to see these values */
}

/* Returns whether there is room for another flow, unless another CPU takes it. */
__attribute__((noinline)) int evict(__u64 now)
{
	struct eviction eviction = {.now = now};

	notify_full(now);
	bpf_loop(TCPWIN_MAX_CANDIDATES, evict_next, &eviction, 0);
	if (!eviction.made_room)
		bpf_loop(TCPWIN_MAX_CANDIDATES, evict_half_open, &eviction, 0);
	return eviction.made_room;
}

static long pass_over_next(__u32 index, void *nothing)
{
	struct tcpwin_key key;
	__u64 number = next_number();

	if (!number)
		return 1;
	struct tcpwin_flow *flow = find_flow(number, &key);
	__u64 seq = flow ? read_seq(flow) : 0;
	bool candidate = flow && is_candidate(flow, seq), aside = candidate && is_half_open(flow, seq);
	if (candidate && !aside)
		return 1;
	if (__sync_val_compare_and_swap(&oldest_flow, number, number + 1) == number && aside)
		put_aside(&key, number);
	return 0;
}

/*
 * So that packets find flows to evict at once: passes over those that were answered or are gone. entries: of the table
 * after a sweep. If there are few, notify_filling() wakes the agent when there may be enough.
 */
static __always_inline void prepare_evictions(__u64 entries)
{
	__u64 mark = tcpwin_pressure_mark(&config, max_flows);

	fills_at = flows_numbered + (entries < mark ? mark - entries : 1);
	if (pressure.since_ns || entries >= mark)
		bpf_loop(max_flows < MAX_PASSED_OVER ? max_flows : MAX_PASSED_OVER, pass_over_next, NULL, 0);
}

/* number: of a flow that has begun. */
static __always_inline void notify_filling(__u64 number, __u64 now)
{
	if (fills_at && number >= fills_at)
		notify_full(now);
}

#endif
