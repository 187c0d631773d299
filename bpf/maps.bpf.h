/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and globals, which the programs and the agent share.
 *
 * The agent sets the sizes of flows, records and packets before it loads the
 * object.
 */
#ifndef TCPWIN_MAPS_BPF_H
#define TCPWIN_MAPS_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <tcpwin/types.h>

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

/* Packets of which later fragments may arrive; the least recently used are evicted first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TCPWIN_MAX_FRAGMENTED_PACKETS);
	__type(key, struct tcpwin_fragment_key);
	__type(value, struct tcpwin_fragment);
} fragments SEC(".maps");

/* Packet mode: struct tcpwin_packet_event. The agent enlarges it if the mode is on. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} packets SEC(".maps");

/* One event per CPU, too large for the stack; no packet interrupts another on its CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcpwin_packet_event);
} scratch SEC(".maps");

/* One alarm per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcpwin_alarm);
} scratch_alarm SEC(".maps");

/* Number of flows in which the window of a host is closed; the least recently used are evicted first. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TCPWIN_MAX_STALLED_HOSTS);
	__type(key, struct tcpwin_stalled_host);
	__type(value, __s64);
} stalled_hosts SEC(".maps");

/* Which flows found the table full, by the hash of their key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TCPWIN_UNTRACKED_BITS / 64);
	__type(key, __u32);
	__type(value, __u64);
} untracked SEC(".maps");

/* With its key, because Linux 6.1 takes no key from the memory that a global function is given. */
struct fresh {
	struct tcpwin_key key;
	struct tcpwin_flow flow;
};

/* A new flow on its way into the table, one per CPU, too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fresh);
} fresh_flow SEC(".maps");

/* The keys of the youngest flows, by their number modulo the size of the table: see evict.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 262144);
	__type(key, __u32);
	__type(value, struct tcpwin_key);
} numbered_keys SEC(".maps");

struct half_open {
	__u64 number;
	struct tcpwin_key key;
};

/* Half-open flows that were put aside, a queue. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 262144 / 4 + 1);
	__type(key, __u32);
	__type(value, struct half_open);
} half_open_flows SEC(".maps");

/* By interface index. Written by the agent before it attaches. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TCPWIN_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct tcpwin_interface);
} interfaces SEC(".maps");

/* Set before loading; the verifier removes code that is switched off. */
const volatile bool report_packets = false; /* packet mode */
const volatile bool per_interface = false;  /* each interface has its own flows */
const volatile bool analyze_stalls = true;  /* include/tcpwin/stall.h */
const volatile bool attribute = true;       /* socket.bpf.h */
const volatile __u32 max_flows = 262144;    /* entries of flows and of numbered_keys */

/*
 * The agent may write it at any time, and then sweeps, because due_ns is no longer valid. In .data, away from the
 * variables below, which packets write.
 */
struct tcpwin_config config = TCPWIN_DEFAULT_CONFIG;

__u64 flows_numbered = 0;  /* number of the youngest flow */
__u64 oldest_flow = 0;     /* number of the flow that is evicted next, if it can be */
__u64 fills_at = 0;        /* number of the flow with which the table may reach the mark, see pressure.h; 0: unknown */
__u64 half_open_added = 0; /* to half_open_flows */
__u64 half_open_taken = 0;
__u64 live_flows = 0;       /* entries of the table that are neither ENDED nor DYING */
__u64 full_notified_ns = 0; /* when the agent was last notified that the table is full */
__u64 due_ns = 0;           /* no flow that began or got another timeout since the last sweep is due before this */

struct tcpwin_pressure pressure = {};

struct tcpwin_batch batch = {}; /* written and read by agents only */

/* For the BTF of these types, which an agent of another layout reads (user/bpf/layout.hpp). */
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
