// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The entry points: one program for packets, one for the sweep.
 *
 * What a packet means and when a flow ends is told by include/tcpwin; here is
 * only who writes which map entry when. A frame is never changed or dropped.
 */
#include "ownership.bpf.h"
#include "frame.bpf.h"

struct bpf_map;

#define EEXIST 17
#define EBUSY 16
#define MAX_LOOKUPS 256
#define TC_ACT_UNSPEC (-1)
#define MAX_HEADERS 512 /* as far as headers are looked for in a frame */
#define NEVER (~0ULL)
#define FULL_NOTICE_NS 10000000 /* tell the agent at most a hundred times a second */

enum verdict {
	TRACKED = TCPWIN_COUNTER_TRACKED,
	UNTRACKED_FULL = TCPWIN_COUNTER_UNTRACKED_FULL,
	UNTRACKED_CONTENDED = TCPWIN_COUNTER_UNTRACKED_CONTENDED,
	HEADLESS_FRAGMENT = TCPWIN_COUNTER_LATER_FRAGMENT,
	LOOK_UP_AGAIN,
};

struct arrival {
	struct tcpwin_packet packet;
	struct tcpwin_key key;
	__u64 now;
	__u64 flow_id; /* of the flow in which it was counted */
	__u32 from;
	__u32 key_hash;
	__u32 ifindex;
	__u16 stalled; /* which windows of its flow were closed before it */
	__u16 alarmed; /* 1: scratch_alarm is to be reported */
};

/* In place of a flow that has ended. */
static __always_inline void begin(struct tcpwin_flow *flow, const struct arrival *arrival)
{
	__u64 id = __sync_fetch_and_add(&flows_numbered, 1) + 1;

	tcpwin_succeed_flow(flow, &config, id, arrival->ifindex, &arrival->packet, arrival->from, arrival->now);
}

static __always_inline void count_packet(struct tcpwin_flow *flow, struct arrival *arrival)
{
	arrival->stalled = flow->stalled;
	tcpwin_count_packet_slow(flow, &config, &arrival->packet, arrival->from, arrival->now, analyze_stalls);
}

static __always_inline __s64 add_stalled(const struct tcpwin_key *key, __u32 endpoint, __s64 change)
{
	struct tcpwin_stalled_host host = {key->address[endpoint & 1], key->vlan, key->scope, 0};
	__s64 none = 0, *flows_of_host = bpf_map_lookup_elem(&stalled_hosts, &host);

	if (!flows_of_host && change > 0) {
		bpf_map_update_elem(&stalled_hosts, &host, &none, BPF_NOEXIST); /* or another CPU did */
		flows_of_host = bpf_map_lookup_elem(&stalled_hosts, &host);
	}
	return flows_of_host ? __sync_fetch_and_add(flows_of_host, change) + change : 0;
}

/* A flow with closed windows has ended. No static function, as the next: the verifier looks at them once. */
__attribute__((noinline)) int forget_stalled(const struct tcpwin_key *key, __u32 stalled)
{
	if (!key)
		return 0;
	for (int i = 0; i < 2; i++)
		if (stalled >> i & 1)
			add_stalled(key, i, -1);
	return 0;
}

/* A packet was counted, its flow is still owned. */
__attribute__((noinline)) int note_alarms(struct arrival *arrival, struct tcpwin_flow *flow)
{
	__u32 only = 0, stalled_flows = 0;

	if (!flow || !arrival)
		return 0;
	for (int i = 0; i < 2; i++) {
		__u32 was = arrival->stalled >> i & 1, is = flow->stalled >> i & 1;
		if (was == is)
			continue;
		__s64 n = add_stalled(&arrival->key, i, is ? 1 : -1);
		if (!is)
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

/* After the flow was owned. */
static __always_inline void report_alarm(const struct arrival *arrival)
{
	__u32 only = 0;
	struct tcpwin_alarm *alarm = arrival->alarmed ? bpf_map_lookup_elem(&scratch_alarm, &only) : NULL;

	if (alarm && bpf_ringbuf_output(&records, alarm, sizeof(*alarm), 0))
		count(TCPWIN_COUNTER_ALARMS_UNREPORTED);
}

/* Before the flow is released: a sweep that ends it at once must find it counted. */
static __always_inline __u64 one_more_alive(void)
{
	return __sync_fetch_and_add(&live_flows, 1) + 1;
}

static __always_inline void note_peak(__u64 alive)
{
	struct tcpwin_counters *mine = this_cpu_counters();

	if (mine && alive > mine->peak_flows)
		mine->peak_flows = alive;
}

/*
 * For a flow that is new or has another timeout; all others are due later than when the last sweep met them. So the
 * agent knows without a sweep that nothing is due. Who loses the race for the word leaves 0, "now": a sweep too many.
 */
static __always_inline void note_due(const struct tcpwin_flow *flow)
{
	__u64 due = __sync_fetch_and_add(&due_ns, 0); /* a barrier: who set it since sees the flow as it is now */
	__u64 next = tcpwin_due_at(flow, &config);

	if (next < due && __sync_val_compare_and_swap(&due_ns, due, next) != due)
		due_ns = 0;
}

static __always_inline void fill_record(struct tcpwin_record *record, const struct tcpwin_key *key,
					const struct tcpwin_flow *flow, __u64 now, enum tcpwin_end_reason reason)
{
	record->key = *key;
	record->flow = *flow;
	record->now_ns = now;
	record->reason = reason;
	__builtin_memset(record->zero, 0, sizeof(record->zero));
}

/* Packet mode: where to describe a packet while its flow is owned; NULL if the mode is off. */
static __always_inline struct tcpwin_packet_event *scratch_event(void)
{
	__u32 only = 0;

	return report_packets ? bpf_map_lookup_elem(&scratch, &only) : NULL;
}

/* After the flow was owned. Never waits: what the agent does not read in time is counted. */
static __always_inline void report_packet(struct tcpwin_packet_event *event)
{
	if (event && bpf_ringbuf_output(&packets, event, sizeof(*event), 0))
		count(TCPWIN_COUNTER_PACKETS_UNREPORTED);
}

/*
 * Wakes the agent for an early sweep. Lost if the ring buffer is full as well: the agent is awake then.
 * Another CPU may have read the clock later and told already: then told is ahead of now.
 */
static __always_inline void tell_full(__u64 now)
{
	struct tcpwin_table_full notice = {now};
	__u64 told = full_told_ns;

	if (now >= told + FULL_NOTICE_NS && __sync_val_compare_and_swap(&full_told_ns, told, now) == told)
		bpf_ringbuf_output(&records, &notice, sizeof(notice), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void note_untracked_flow(__u32 key_hash)
{
	__u32 bit = key_hash % TCPWIN_UNTRACKED_BITS, index = bit / 64;
	__u64 mask = 1ULL << bit % 64;
	__u64 *bits = bpf_map_lookup_elem(&untracked, &index);

	if (bits && !(*bits & mask) && !(__sync_fetch_and_or(bits, mask) & mask))
		count(TCPWIN_COUNTER_UNTRACKED_FLOWS);
}

/*
 * Inserted BUSY with its first packet counted, numbered once it is in place: a
 * full table or a lost creation race uses up no number. An entry that is BUSY is
 * never deleted, so the second lookup finds it.
 */
static __always_inline enum verdict create(struct arrival *arrival)
{
	__u32 only = 0;
	struct tcpwin_flow *fresh = bpf_map_lookup_elem(&fresh_flow, &only);

	if (!fresh)
		return UNTRACKED_CONTENDED;
	fresh->seq = busy_seq(arrival->key_hash);
	tcpwin_begin_flow(fresh, 0, arrival->ifindex, &arrival->packet, arrival->from, arrival->now);
	count_packet(fresh, arrival);

	long error = bpf_map_update_elem(&flows, &arrival->key, fresh, BPF_NOEXIST);
	if (error == -EEXIST || error == -EBUSY)
		return LOOK_UP_AGAIN;
	if (error) {
		tell_full(arrival->now);
		note_untracked_flow(arrival->key_hash);
		return UNTRACKED_FULL;
	}
	struct tcpwin_packet_event *event = scratch_event();
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);
	if (!flow)
		return UNTRACKED_CONTENDED;
	flow->id = arrival->flow_id = __sync_fetch_and_add(&flows_numbered, 1) + 1;
	if (event)
		tcpwin_fill_packet_event(event, &arrival->key, flow, &arrival->packet, arrival->from, arrival->now, 0,
					 0);
	note_any_alarms(arrival, flow);
	__u64 alive = one_more_alive();
	note_due(flow);
	release(flow);
	count(TCPWIN_COUNTER_FLOWS_CREATED);
	note_peak(alive);
	report_alarm(arrival);
	report_packet(event);
	return TRACKED;
}

/*
 * Counts the packet in its flow, which it cuts first if it finds it expired.
 *
 * Ring-buffer space is reserved before the flow is owned and submitted after,
 * so that nobody waits for the ring buffer's lock. Whether to reserve is guessed
 * from an unowned look; if another packet made the flow expire since, we start
 * over. If there is no space, the flow goes on as if it had not expired: it is
 * longer than it should be, but no packet is lost.
 */
static __always_inline enum verdict update(struct tcpwin_flow *flow, struct arrival *arrival)
{
	struct tcpwin_record *record = NULL;
	bool cut = false, deferred = false;
	__u64 alive = 0; /* other than 0: an ended entry was revived */
	bool looks_expired =
		(read_seq(flow) & MARK_MASK) == MARK_FREE && tcpwin_is_expired(flow, &config, arrival->now);

	if (looks_expired)
		record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	struct tcpwin_packet_event *event = scratch_event();

	enum lock_result lock = lock_flow(flow, arrival->key_hash);
	if (lock == LOCK_GONE || lock == LOCK_CONTENDED) {
		if (record)
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return lock == LOCK_GONE ? LOOK_UP_AGAIN : UNTRACKED_CONTENDED;
	}

	if (lock == LOCKED_ENDED) {
		begin(flow, arrival);
		alive = one_more_alive();
	} else if (tcpwin_is_expired(flow, &config, arrival->now)) {
		if (record) {
			fill_record(record, &arrival->key, flow, arrival->now, tcpwin_expiry_reason(flow, &config));
			if (flow->stalled)
				forget_stalled(&arrival->key, flow->stalled);
			begin(flow, arrival);
			cut = true;
		} else if (!looks_expired) {
			release(flow);
			return LOOK_UP_AGAIN;
		} else {
			deferred = true;
		}
	}
	__u64 previous = flow->direction[arrival->from & 1].last_ns;
	count_packet(flow, arrival);
	note_any_alarms(arrival, flow);
	arrival->flow_id = flow->id;
	if (event)
		tcpwin_fill_packet_event(event, &arrival->key, flow, &arrival->packet, arrival->from, arrival->now,
					 previous, 0);
	note_due(flow);
	release(flow);

	if (alive || cut)
		count(TCPWIN_COUNTER_FLOWS_CREATED);
	if (alive)
		note_peak(alive);
	if (deferred)
		count(TCPWIN_COUNTER_DEFERRED_CUTS);
	if (cut) {
		bpf_ringbuf_submit(record, 0);
		count(TCPWIN_COUNTER_FLOWS_CUT);
	} else if (record) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	}
	report_alarm(arrival);
	report_packet(event);
	return TRACKED;
}

/* Out of line: called from two places. */
static __attribute__((noinline)) enum verdict look_up_and_count(struct arrival *arrival)
{
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);

	return flow ? update(flow, arrival) : create(arrival);
}

/*
 * Nearly all packets: they raise nothing, and their flow is alive, and free, and surely not expired. False: nothing was
 * done.
 * What was read of the flow before it was owned holds, for the word proves that nobody wrote meanwhile.
 */
static __always_inline bool count_at_once(struct tcpwin_flow *flow, struct arrival *arrival)
{
	/* Read now, they come from memory together with what else is read before the flow is owned, and not after. */
	(void)*(const volatile __u64 *)&flow->direction[arrival->from & 1].packets;
	if (analyze_stalls)
		(void)*(const volatile __u8 *)&flow->progress[1].flags;
	__u64 seq = read_seq_acquire(flow);

	if (report_packets || !is_free(seq, arrival->key_hash) || arrival->now >= tcpwin_expires_after(flow, &config) ||
	    !tcpwin_is_quiet(flow, &config, &arrival->packet, arrival->from))
		return false;
	if (__sync_val_compare_and_swap(&flow->seq, seq, seq | MARK_BUSY) != seq)
		return false;
	__u8 timeout = flow->direction[arrival->from & 1].timeout;
	tcpwin_count_packet(flow, &config, &arrival->packet, arrival->from, arrival->now, analyze_stalls);
	arrival->flow_id = flow->id;
	if (flow->direction[arrival->from & 1].timeout != timeout) /* the other direction's never changes alone */
		note_due(flow);
	release(flow);
	return true;
}

struct retry {
	struct arrival *arrival;
	enum verdict verdict;
};

static long look_up_again(__u32 index, struct retry *retry)
{
	retry->verdict = look_up_and_count(retry->arrival);
	return retry->verdict != LOOK_UP_AGAIN;
}

/* Again where an entry is being deleted or another CPU creates it: that takes it longer than one lookup. */
static __always_inline enum verdict track(struct arrival *arrival)
{
	struct retry retry = {arrival, look_up_and_count(arrival)};

	if (retry.verdict == LOOK_UP_AGAIN)
		bpf_loop(MAX_LOOKUPS, look_up_again, &retry, 0);
	return retry.verdict == LOOK_UP_AGAIN ? UNTRACKED_CONTENDED : retry.verdict;
}

/* Out of line, for its stack. A map that cannot take it only makes the later fragments headless. */
static __attribute__((noinline)) int remember_fragment(const struct arrival *arrival)
{
	struct tcpwin_fragment fragment = {arrival->key, arrival->flow_id, arrival->from, 0};
	struct tcpwin_fragment_key key;

	tcpwin_make_fragment_key(&arrival->packet, &key);
	return bpf_map_update_elem(&fragments, &key, &fragment, BPF_ANY);
}

/* Only in the very flow of the first fragment, while that is alive. */
static __always_inline enum verdict count_fragment(struct tcpwin_flow *flow, struct arrival *arrival)
{
	struct tcpwin_packet_event *event = scratch_event();
	enum lock_result lock = lock_flow(flow, arrival->key_hash);

	if (lock == LOCK_CONTENDED)
		return UNTRACKED_CONTENDED;
	if (lock == LOCK_GONE)
		return HEADLESS_FRAGMENT;

	bool known =
		lock == LOCKED_LIVE && flow->id == arrival->flow_id && !tcpwin_is_expired(flow, &config, arrival->now);
	if (known) {
		__u64 previous = flow->direction[arrival->from & 1].last_ns;
		tcpwin_refresh_flow(flow, &arrival->packet, arrival->from, arrival->now);
		if (event)
			tcpwin_fill_packet_event(event, &arrival->key, flow, &arrival->packet, arrival->from,
						 arrival->now, previous, 1);
	}
	if (lock == LOCKED_ENDED)
		release_ended(flow);
	else
		release(flow);
	if (!known)
		return HEADLESS_FRAGMENT;
	report_packet(event);
	return TRACKED;
}

static __attribute__((noinline)) enum verdict track_fragment(struct arrival *arrival)
{
	struct tcpwin_fragment_key key;

	tcpwin_make_fragment_key(&arrival->packet, &key);
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

static __always_inline enum tcpwin_counter track_packet(struct arrival *arrival)
{
	arrival->from = tcpwin_make_key(&arrival->packet, &arrival->key);
	arrival->key_hash = tcpwin_hash_key(&arrival->key);
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);
	enum verdict verdict = flow && count_at_once(flow, arrival) ? TRACKED : track(arrival);
	if (arrival->packet.first_fragment && verdict == TRACKED)
		remember_fragment(arrival);
	return (enum tcpwin_counter)verdict;
}

/* arrival->packet is what parsing made of it, or is a later fragment. now: its time, or TCPWIN_CLOCK_NOW. */
static __always_inline void watch(struct arrival *arrival, enum tcpwin_reject reject, __u64 now)
{
	if (reject && reject != TCPWIN_REJECT_LATER_FRAGMENT) {
		count(TCPWIN_COUNTER_OF_REJECT(reject));
		return;
	}
	arrival->now = now == TCPWIN_CLOCK_NOW ? bpf_ktime_get_boot_ns() : now;
	add_counter(reject ? (enum tcpwin_counter)track_fragment(arrival) : track_packet(arrival),
		    arrival->packet.segments);
}

/* What was counted where it came in, and only passes through. Local packets have no ingress interface. */
static __always_inline bool is_counted_already(const struct __sk_buff *skb)
{
	__u32 ingress = skb->ingress_ifindex;
	struct tcpwin_interface *interface = ingress ? bpf_map_lookup_elem(&interfaces, &ingress) : NULL;

	return interface && interface->ingress;
}

static __always_inline void watch_skb(struct __sk_buff *skb, enum tcpwin_hook hook)
{
	__u32 ifindex = skb->ifindex;
	struct tcpwin_interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	struct arrival arrival;

	if (!interface)
		return;
	if (hook == TCPWIN_HOOK_TC_EGRESS && !per_interface && is_counted_already(skb)) {
		count(TCPWIN_COUNTER_FORWARDED);
		return;
	}
	enum tcpwin_reject reject = parse_skb(skb, interface->link_header, &arrival.packet);
	/* Some drivers leave headers outside the linear part; the pull moves bytes, and changes none. */
	if (is_truncated(reject) && skb->data_end - skb->data < skb->len) {
		bpf_skb_pull_data(skb, skb->len < MAX_HEADERS ? skb->len : MAX_HEADERS);
		reject = parse_skb(skb, interface->link_header, &arrival.packet);
	}
	if (!reject)
		tcpwin_count_segments(&arrival.packet, skb->gso_segs, skb->gso_size);
	arrival.packet.hook = hook;
	arrival.packet.scope = interface->scope;
	arrival.ifindex = ifindex;
	watch(&arrival, reject, TCPWIN_CLOCK_NOW);
}

SEC("xdp.frags")
int tcpwin_xdp(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct tcpwin_interface *interface = per_interface ? bpf_map_lookup_elem(&interfaces, &ifindex) : NULL;
	struct arrival arrival;

	enum tcpwin_reject reject = parse_xdp(ctx, length_of_frame(ctx), &arrival.packet);
	arrival.packet.hook = TCPWIN_HOOK_XDP;
	arrival.packet.scope = interface ? interface->scope : 0;
	arrival.ifindex = ifindex;
	watch(&arrival, reject, TCPWIN_CLOCK_NOW);
	return XDP_PASS;
}

SEC("tc")
int tcpwin_ingress(struct __sk_buff *skb)
{
	watch_skb(skb, TCPWIN_HOOK_TC_INGRESS);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int tcpwin_egress(struct __sk_buff *skb)
{
	watch_skb(skb, TCPWIN_HOOK_TC_EGRESS);
	return TC_ACT_UNSPEC;
}

/* As tcpwin_xdp, at the time and with the length that stand in the metadata before the frame: for test runs. */
SEC("?xdp.frags")
int tcpwin_xdp_at(struct xdp_md *ctx)
{
	struct tcpwin_test_frame *frame = (struct tcpwin_test_frame *)(long)ctx->data_meta;
	struct arrival arrival;

	if ((void *)(frame + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	enum tcpwin_reject reject = parse_xdp(ctx, frame->wire_length, &arrival.packet);
	arrival.ifindex = ctx->ingress_ifindex;
	watch(&arrival, reject, frame->now_ns);
	return XDP_PASS;
}

/* The copy in the ring buffer is the flow's record if, after it was made, nobody had touched the flow. */
static __always_inline bool export(struct tcpwin_key *key, struct tcpwin_flow *flow, __u64 seq,
				   enum tcpwin_end_reason reason, struct tcpwin_sweep *sweep)
{
	struct tcpwin_record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		sweep->ring_full = 1;
		return false;
	}
	fill_record(record, key, flow, sweep->now_ns, reason);
	if (__sync_val_compare_and_swap(&flow->seq, seq, seq | MARK_ENDED) != seq) {
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
 * A record of a flow that goes on. A step of the sequence proves that the copy is whole, and disturbs nobody: whoever
 * read the word before looks again. active_since_s is the sweep's; that of a flow which a packet begins just now in the
 * same entry becomes no later than now.
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
		fill_record(record, key, flow, sweep->now_ns, TCPWIN_END_ACTIVE_TIMEOUT);
		if (__sync_val_compare_and_swap(&flow->seq, seq, next_seq(seq)) != seq) {
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
	if (__sync_val_compare_and_swap(&flow->seq, seq, seq | MARK_DYING) != seq)
		return false;
	if (bpf_map_delete_elem(&flows, key))
		return false;
	sweep->deleted++;
	return true;
}

/* An entry that may have something to do for the sweep. */
static __attribute__((noinline)) long sweep_closely(struct tcpwin_key *key, struct tcpwin_flow *flow,
						    struct tcpwin_sweep *sweep)
{
	__u64 seq = read_seq_acquire(flow);
	__u64 due = tcpwin_expires_after(flow, &config);

	if (sweep->now_ns >= due || (seq & MARK_MASK) != MARK_FREE)
		due = tcpwin_expires_at(flow, &config);
	bool gone = sweep->ifindex && flow->ifindex == sweep->ifindex;
	if ((seq & MARK_MASK) == MARK_FREE && (sweep->shutdown || gone || sweep->now_ns >= due)) {
		enum tcpwin_end_reason reason = sweep->now_ns >= due ? tcpwin_expiry_reason(flow, &config) :
						gone                 ? TCPWIN_END_INTERFACE_GONE :
								       TCPWIN_END_SHUTDOWN;
		if (export(key, flow, seq, reason, sweep))
			seq |= MARK_ENDED;
	} else if ((seq & MARK_MASK) == MARK_FREE) {
		__u64 active = tcpwin_active_at(flow, &config);
		if (sweep->now_ns >= active && export_interim(key, flow, seq, sweep))
			active = tcpwin_active_at(flow, &config);
		if (active < due)
			due = active;
	}
	__u32 mark = seq & MARK_MASK;
	if (mark == MARK_ENDED)
		due += tcpwin_linger(flow, sweep->linger_ns);
	bool removable = mark == MARK_DYING || /* a delete that failed before */
			 (mark == MARK_ENDED && (sweep->shutdown || sweep->now_ns >= due));
	if (!removable || !remove(key, flow, seq, sweep)) {
		sweep->remaining++;
		if (due < sweep->due_ns)
			sweep->due_ns = due;
	}
	return sweep->ring_full ? 1 : 0;
}

/* Few instructions for the many that have not, so that the processor gets on to the entries after them meanwhile. */
static long sweep_entry(struct bpf_map *map, struct tcpwin_key *key, struct tcpwin_flow *flow,
			struct tcpwin_sweep *sweep)
{
	__u64 seq = read_seq_acquire(flow);
	__u64 due = tcpwin_expires_after(flow, &config);

	if ((seq & MARK_MASK) != MARK_FREE || sweep->now_ns >= due || sweep->closely)
		return sweep_closely(key, flow, sweep);
	sweep->remaining++;
	if (due < sweep->due_ns)
		sweep->due_ns = due;
	return 0;
}

SEC("syscall")
int tcpwin_sweep(struct tcpwin_sweep *ctx)
{
	struct tcpwin_sweep sweep = *ctx;

	if (sweep.now_ns == TCPWIN_CLOCK_NOW)
		sweep.now_ns = bpf_ktime_get_boot_ns();
	sweep.due_ns = NEVER;
	sweep.closely = sweep.shutdown || sweep.ifindex || config.active_s;
	__sync_lock_test_and_set(&due_ns, NEVER); /* a barrier: what packets change from here on, they note */
	bpf_for_each_map_elem(&flows, sweep_entry, &sweep, 0);
	if (sweep.ring_full)
		sweep.due_ns = 0;
	*ctx = sweep;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
