/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and globals, all that the programs and the agent share.
 *
 * Sizes of flows and records are set by the agent before it loads the object.
 */
#ifndef TCPWIN_MAPS_BPF_H
#define TCPWIN_MAPS_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TCPWIN_REPEAT(count, step, context) bpf_loop(count, step, context, 0)
#include <tcpwin/flow.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__type(key, struct tcpwin_key);
	__type(value, struct tcpwin_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCPWIN_COUNTERS_ENTRIES);
	__type(key, __u32);
	__type(value, struct tcpwin_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} records SEC(".maps");

/* Packets of which later fragments may come; the least recently used go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TCPWIN_MAX_FRAGMENTED_PACKETS);
	__type(key, struct tcpwin_fragment_key);
	__type(value, struct tcpwin_fragment);
} fragments SEC(".maps");

/* Packet mode: struct tcpwin_packet_event. Grown by the agent if it is on. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} packets SEC(".maps");

/* One event a CPU, too large for the stack; no packet interrupts another on its CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcpwin_packet_event);
} scratch SEC(".maps");

/* The same for an alarm. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcpwin_alarm);
} scratch_alarm SEC(".maps");

/* Flows with a closed window, by whose it is; the least recently used go first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TCPWIN_MAX_STALLED_HOSTS);
	__type(key, struct tcpwin_stalled_host);
	__type(value, __s64);
} stalled_hosts SEC(".maps");

/* Which flows found the table full, by the hash of the key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TCPWIN_UNTRACKED_BITS / 64);
	__type(key, __u32);
	__type(value, __u64);
} untracked SEC(".maps");

/* A new flow on its way into the table, too large for the stack as well. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcpwin_flow);
} fresh_flow SEC(".maps");

/* By interface index. Written by the agent before it attaches. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TCPWIN_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct tcpwin_interface);
} interfaces SEC(".maps");

/* Set before loading; the verifier removes the code of what is off. */
const volatile bool report_packets = false; /* packet mode */
const volatile bool per_interface = false;  /* each interface has flows of its own */
const volatile bool analyze_stalls = true;  /* include/tcpwin/stall.h */

/*
 * Written by the agent at any time; it sweeps then, for due_ns no longer holds. In .data, away from the words below,
 * which packets write.
 */
struct tcpwin_config config = TCPWIN_DEFAULT_CONFIG;

__u64 flows_numbered = 0; /* number of the youngest flow */
__u64 live_flows = 0;     /* entries of the table that are neither ended nor dying */
__u64 full_told_ns = 0;   /* when the agent was last told that the table is full */
__u64 due_ns = 0; /* no flow that began or got another timeout since the last sweep has to be looked at before */

struct tcpwin_batch batch = {}; /* of the agent, no program looks at it */

/* For their types, which an agent of another layout reads from the object's BTF (user/bpf/layout.hpp). */
const struct tcpwin_record *record_type = NULL;
const enum tcpwin_counter *counter_type = NULL;

static __always_inline struct tcpwin_counters *this_cpu_counters(void)
{
	__u32 live = TCPWIN_COUNTERS_LIVE;

	return bpf_map_lookup_elem(&counters, &live);
}

static __always_inline void add_counter(enum tcpwin_counter counter, __u32 n)
{
	struct tcpwin_counters *mine = this_cpu_counters();

	if (mine && counter < TCPWIN_COUNTER_COUNT)
		mine->value[counter] += n;
}

static __always_inline void count(enum tcpwin_counter counter)
{
	add_counter(counter, 1);
}

#endif
