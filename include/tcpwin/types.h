/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The types that cross the border between the BPF programs and the agent.
 *
 * Plain C for clang -target bpf and for g++ -std=c++20. Every padding byte is
 * named, so that two equal values are equal byte for byte, and every size is
 * asserted as the sum of its fields. Enumerations and their names come from
 * one list each.
 */
#ifndef TCPWIN_TYPES_H
#define TCPWIN_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#define TCPWIN_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define TCPWIN_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/*
 * Of everything below and of the maps that outlive an agent (attach --persistent).
 * Whoever changes what they mean or how they are laid out adds one: an agent takes
 * over the maps of its own layout, and writes out and removes those of another.
 */
#define TCPWIN_LAYOUT_VERSION 3

#define TCPWIN_INLINE static inline __attribute__((always_inline))

/* TCP flags as in octet 13 of the TCP header (RFC 9293, 3.1), in bit order. */
#define TCPWIN_FLAGS(X) \
	X(FIN, 0x01)    \
	X(SYN, 0x02)    \
	X(RST, 0x04)    \
	X(PSH, 0x08)    \
	X(ACK, 0x10)    \
	X(URG, 0x20)    \
	X(ECE, 0x40)    \
	X(CWR, 0x80)

enum tcpwin_flag {
#define X(name, bit) TCPWIN_FLAG_##name = bit,
	TCPWIN_FLAGS(X)
#undef X
};

/* tcpWinState: X(name, code). The codes are the origin's. */
#define TCPWIN_STATES(X) \
	X(NEW, 0x00)     \
	X(BGN, 0x01)     \
	X(EST, 0x02)     \
	X(ABRT, 0x04)

enum tcpwin_state {
#define X(name, code) TCPWIN_STATE_##name = code,
	TCPWIN_STATES(X)
#undef X
};

/*
 * The timeout of a direction is kept as a class, not as a number, so that a
 * change of configuration applies to flows that are alive.
 * X(name, default in nanoseconds)
 */
#define TCPWIN_TIMEOUTS(X)     \
	X(NEW, 10000000000ULL) \
	X(BGN, 2200000000ULL)  \
	X(EST, 1000000000ULL)  \
	X(ABRT, 1000000ULL)    \
	X(FIN, 5000000000ULL)  \
	X(TERMINATED, 0ULL)

enum tcpwin_timeout {
#define X(name, nanoseconds) TCPWIN_TIMEOUT_##name,
	TCPWIN_TIMEOUTS(X)
#undef X
		TCPWIN_TIMEOUT_COUNT
};
#define TCPWIN_TIMEOUT_SLOTS 8 /* as many as three bits can tell apart, see tcpwin_flow.recent */
TCPWIN_STATIC_ASSERT(TCPWIN_TIMEOUT_COUNT <= TCPWIN_TIMEOUT_SLOTS, "more timeouts than three bits can tell apart");

/* What reaching the abort count does: X(name, text). */
#define TCPWIN_ON_THRESHOLD(X)    \
	X(ABORT, "abort")         \
	X(TERMINATE, "terminate") \
	X(COUNT, "count")

/*
 * ABORT: the timeout of the flow and its reverse flow becomes ABRT. TERMINATE: the packet is their last, the next one
 * begins others. COUNT: nothing.
 */
enum tcpwin_on_threshold {
#define X(name, text) TCPWIN_ON_THRESHOLD_##name,
	TCPWIN_ON_THRESHOLD(X)
#undef X
};

/*
 * What a receiver whose window is closed is reported for, at the packet where it happens: X(name, bit, text in records).
 * ABORT_COUNT: so many windows below the threshold, once a flow. STALL: closed for as long as stall_alarm_ns, once an
 * episode. STALLED_FLOWS: its address has more than source_alarm flows with a closed window at once; reported of the
 * flow that is the first above, marked in those that come while it has more.
 */
#define TCPWIN_ALARMS(X)                    \
	X(ABORT_COUNT, 0x01, "abort_count") \
	X(STALL, 0x02, "stall")             \
	X(STALLED_FLOWS, 0x04, "stalled_flows")

enum tcpwin_alarm_kind {
#define X(name, bit, text) TCPWIN_ALARM_##name = bit,
	TCPWIN_ALARMS(X)
#undef X
		TCPWIN_ALARM_ALL = 0x0f,
};
#define TCPWIN_ALARM_PENDING(alarms) ((alarms) >> 4 & TCPWIN_ALARM_ALL)

/* tcpWinStat: the low five bits accumulate FIN, SYN, RST, PSH and ACK; the others: */
#define TCPWIN_STATS(X)  \
	X(ABORTED, 0x40) \
	X(BELOW_THRESHOLD, 0x80)

enum tcpwin_stat {
#define X(name, bit) TCPWIN_STAT_##name = bit,
	TCPWIN_STATS(X)
#undef X
		TCPWIN_STAT_FLAGS = 0x1f
};

/* Why a flow ended, or, ACTIVE_TIMEOUT, why there is a record though it goes on: X(name, text in records). */
#define TCPWIN_END_REASONS(X)               \
	X(IDLE_TIMEOUT, "idle_timeout")     \
	X(ABORT_TIMEOUT, "abort_timeout")   \
	X(SHUTDOWN, "shutdown")             \
	X(INTERFACE_GONE, "interface_gone") \
	X(FIN_TIMEOUT, "fin_timeout")       \
	X(TERMINATED, "terminated")         \
	X(ACTIVE_TIMEOUT, "active_timeout")

enum tcpwin_end_reason {
#define X(name, text) TCPWIN_END_##name,
	TCPWIN_END_REASONS(X)
#undef X
		TCPWIN_END_COUNT
};

/* Where packets of a flow were seen: X(name, bit, text in records). */
#define TCPWIN_HOOKS(X)                   \
	X(XDP, 0x01, "xdp")               \
	X(TC_INGRESS, 0x02, "tc_ingress") \
	X(TC_EGRESS, 0x04, "tc_egress")

enum tcpwin_hook {
#define X(name, bit, text) TCPWIN_HOOK_##name = bit,
	TCPWIN_HOOKS(X)
#undef X
};

/* Why a frame is no packet of a flow: X(name, text, explanation). */
#define TCPWIN_REJECTS(X)                                                                           \
	X(NOT_IP, "not_ip", "frames of another protocol than IPv4 or IPv6")                         \
	X(NOT_TCP, "not_tcp", "IP packets of another protocol than TCP")                            \
	X(ETHERNET_TRUNCATED, "ethernet_truncated", "frames that end inside Ethernet or VLAN")      \
	X(VLAN_DEPTH, "vlan_depth", "frames with more than four VLAN tags")                         \
	X(IP_TRUNCATED, "ip_truncated", "frames that end inside an IP header")                      \
	X(IP_VERSION, "ip_version", "IP version differs from the Ethernet type")                    \
	X(IP_HEADER_LENGTH, "ip_header_length", "IPv4 header length below 20 bytes")                \
	X(IP_LENGTH, "ip_length", "IP length too small for a TCP header")                           \
	X(IPV6_EXTENSIONS, "ipv6_extensions", "more than eight IPv6 extension headers")             \
	X(LATER_FRAGMENT, "later_fragment", "later IP fragments whose first is not in a live flow") \
	X(TCP_TRUNCATED, "tcp_truncated", "frames that end inside the TCP header")                  \
	X(TCP_DATA_OFFSET, "tcp_data_offset", "TCP data offset below 20 bytes")

enum tcpwin_reject {
	TCPWIN_ACCEPTED,
#define X(name, text, explanation) TCPWIN_REJECT_##name,
	TCPWIN_REJECTS(X)
#undef X
		TCPWIN_REJECT_COUNT
};

/*
 * Where a TCP packet went: X(name, text, explanation). Each packet that enters
 * the program adds one to exactly one verdict or one reject reason, so "packets
 * seen" is their sum and is not counted again.
 */
#define TCPWIN_VERDICTS(X)                                                              \
	X(TRACKED, "tracked", "TCP packets counted in a flow")                          \
	X(UNTRACKED_FULL, "untracked_full", "TCP packets not tracked: flow table full") \
	X(UNTRACKED_CONTENDED, "untracked_contended", "TCP packets not tracked: contended")

/* What else the kernel side counts: X(name, text, explanation, its words in the end report or "" for no line there). */
#define TCPWIN_EVENTS(X)                                                                                      \
	X(FLOWS_CREATED, "flows_created", "flows begun", "")                                                  \
	X(FLOWS_CUT, "flows_cut", "flows ended by the packet that found them expired", "")                    \
	X(UNTRACKED_FLOWS, "untracked_flows", "flows not tracked, at least: flow table full", "")             \
	X(DEFERRED_CUTS, "deferred_cuts", "packets that prolonged a flow: ring buffer full",                  \
	  "Deferred cuts (packets that prolonged a flow, ring buffer full)")                                  \
	X(FORWARDED, "forwarded", "forwarded frames, counted where they came in and not again on leaving",    \
	  "Forwarded frames, counted where they came in")                                                     \
	X(PACKETS_UNREPORTED, "packets_unreported", "packet records lost: ring buffer full",                  \
	  "Packet records lost (ring buffer full)")                                                           \
	X(ALARMS_UNREPORTED, "alarms_unreported", "alarms marked in the flow records only: ring buffer full", \
	  "Alarms that are in the flow records only (ring buffer full)")

/*
 * A flow that finds the table full sets one of so many bits; those that were not set before are counted as
 * untracked_flows. Some share a bit, so the number of flows has to be estimated from it (user/report.cpp).
 */
#define TCPWIN_UNTRACKED_BITS (1U << 20)

/* Index into tcpwin_counters.value. */
enum tcpwin_counter {
#define X(name, text, ...) TCPWIN_COUNTER_##name,
	TCPWIN_VERDICTS(X) TCPWIN_EVENTS(X) TCPWIN_REJECTS(X)
#undef X
		TCPWIN_COUNTER_COUNT
};

#define TCPWIN_COUNTER_OF_REJECT(reject) ((__u32)TCPWIN_COUNTER_NOT_IP + (__u32)(reject) - (__u32)TCPWIN_REJECT_NOT_IP)

/* One CPU's counters; only programs that run with softirqs off write them. */
struct tcpwin_counters {
	__u64 value[TCPWIN_COUNTER_COUNT];
	__u64 peak_flows; /* largest number of live flows that this CPU brought about */
};

/* Entries of the map of counters: those that packets write, and what an agent of another layout left. */
enum tcpwin_counters_entry {
	TCPWIN_COUNTERS_LIVE,
	TCPWIN_COUNTERS_CARRIED,
	TCPWIN_COUNTERS_ENTRIES,
};

/* An address in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct tcpwin_address {
	__u8 byte[16];
} __attribute__((aligned(8)));

/*
 * A connection, the same for both directions: the endpoint that is lower (by
 * address, then by port) comes first. Ports in host order. vlan is the id of
 * the innermost tag, 0 if there is none. scope keeps flows of different
 * interfaces apart, 0 if interfaces share them.
 */
struct tcpwin_key {
	struct tcpwin_address address[2];
	__u16 port[2];
	__u16 vlan;
	__u16 scope;
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_key) == 2 * 16 + 2 * 2 + 2 + 2, "tcpwin_key has padding");

#define TCPWIN_NO_WINDOW_SCALE 0xff      /* no SYN, or one without the option */
#define TCPWIN_UNKNOWN_WINDOW_SCALE 0xfe /* the options were not captured to their end */

/* What one endpoint of a flow sent; packets == 0: nothing yet. The state machine's view, see analysis.h for more. */
struct tcpwin_direction {
	__u64 first_ns;
	__u64 last_ns;
	__u64 packets;
	__u64 bytes;             /* sum of the IP total lengths */
	__u32 zero_window_count; /* packets below the window threshold */
	__u16 window_min;        /* raw 16-bit windows, never scaled */
	__u16 window_max;
	__u16 window_last;
	__u8 tcp_flags;    /* seen in any packet, all eight */
	__u8 stat;         /* tcpWinStat */
	__u8 state;        /* enum tcpwin_state */
	__u8 timeout;      /* enum tcpwin_timeout */
	__u8 window_scale; /* of the last SYN, as tcpwin_packet has it */
	__u8 alarms; /* enum tcpwin_alarm_kind, all that it raised; in the upper half those still to be reported */
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_direction) == 4 * 8 + 4 + 3 * 2 + 6 * 1, "tcpwin_direction has padding");

#define TCPWIN_RECENT_TIMEOUT 7 /* the bits of tcpwin_flow.recent that are a timeout */

#include "analysis.h"

/*
 * One connection. direction[i], progress[i] and analysis[i] are of the key's
 * endpoint i. With 48 bytes of the kernel's own and the key, an entry of the
 * table is seven whole cache lines: a sweep touches the first two of a live flow,
 * the plain counting of a packet the next two as well, the analysis of nearly all
 * of them the fifth.
 */
struct tcpwin_flow {
	__u64 word;    /* sequence word, see bpf/ownership.bpf.h */
	__u64 id;      /* number of the flow, from 1, in order of first packets */
	__u32 ifindex; /* where the first packet was seen */
	__u8 a_side;   /* which endpoint of the key is A */
	__u8 hooks;    /* enum tcpwin_hook, all that saw a packet; 0: a capture */
	__u8 analyzed; /* 0: progress and analysis say nothing, or not all */
	__u8 stalled;  /* bit i: the window of endpoint i is closed, as TCPWIN_STALLED of progress[i] */
	__u64 recent;  /* of the latest packet: last_ns of its direction but for the low bits, and timeout in these */
	__u32 continues_back; /* the flow of this connection that ended shortly before has a number so much lower, or 0 */
	__u32 active_since_s; /* of its clock, see tcpwin_active_at; a sweep writes it */
	struct tcpwin_direction direction[2];
	struct tcpwin_progress progress[2];
	struct tcpwin_analysis analysis[2];
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_flow) == 3 * 8 + 3 * 4 + 4 * 1 + 2 * sizeof(struct tcpwin_direction) +
							   2 * sizeof(struct tcpwin_progress) +
							   2 * sizeof(struct tcpwin_analysis),
		     "tcpwin_flow has padding");
TCPWIN_STATIC_ASSERT(TCPWIN_TIMEOUT_SLOTS == TCPWIN_RECENT_TIMEOUT + 1, "tcpwin_flow.recent holds another timeout");

/*
 * A flow that begins this long after another of its key expired continues it. A
 * sender that waits for a window probes at intervals of up to two minutes
 * (Linux's TCP_RTO_MAX), and is waited for longer. Entries stay in the tables
 * until then: these numbers cost memory.
 */
#define TCPWIN_CONTINUES_NS 2000000000ULL
#define TCPWIN_CONTINUES_STALLED_NS 130000000000ULL

/* A flow that ended; all that the agent needs to write its record. */
struct tcpwin_record {
	struct tcpwin_key key;
	struct tcpwin_flow flow;
	__u64 now_ns; /* clock at which the record was made */
	__u8 reason;  /* enum tcpwin_end_reason */
	__u8 zero[7];
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_record) == sizeof(struct tcpwin_key) + sizeof(struct tcpwin_flow) + 8 + 1 + 7,
		     "tcpwin_record has padding");

/* X(name, bit): how the state machine differs from the tutorial's. */
#define TCPWIN_RULES(X)               \
	X(FIN_TIMEOUT, 0x01)          \
	X(PROMOTE_ESTABLISHED, 0x02)  \
	X(SKIP_SYN_RST_WINDOWS, 0x04) \
	X(ABORT_ALARM, 0x08)

/*
 * FIN_TIMEOUT: after FIN or RST the timeout is FIN's for good, after RST in both directions; else EST's, and ABRT's from
 * the next packet on. PROMOTE_ESTABLISHED: state BGN becomes EST with the next packet. SKIP_SYN_RST_WINDOWS: windows of
 * segments with SYN or RST do not count. ABORT_ALARM: reaching the abort count is reported, see TCPWIN_ALARMS.
 */
enum tcpwin_rule {
#define X(name, bit) TCPWIN_RULE_##name = bit,
	TCPWIN_RULES(X)
#undef X
};

/* May change while packets flow: each field is read on its own. */
struct tcpwin_config {
	__u64 timeout_ns[TCPWIN_TIMEOUT_SLOTS]; /* each at least 1, but TERMINATED, which is 0 */
	__u64 stalled_ns; /* after its last packet a flow with a closed window lives at least so long; 0: as others */
	__u64 stall_alarm_ns;   /* 0: no alarm, as the next */
	__u32 source_alarm;     /* flows */
	__u32 active_s;         /* a record of flows that go on about each so many seconds; 0: none */
	__u32 window_threshold; /* a raw window below it counts */
	__u32 abort_count;      /* what happens at so many of them, says: */
	__u8 on_threshold;      /* enum tcpwin_on_threshold */
	__u8 rules;             /* enum tcpwin_rule */
	__u8 zero[6];
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_config) == (TCPWIN_TIMEOUT_SLOTS + 2) * 8 + 4 * 4 + 2 * 1 + 6,
		     "tcpwin_config has padding");

#define TCPWIN_SECONDS(n) ((n) * 1000000000ULL)

/* The constants of the tutorial (docs of Tranalyzer2's tcpWinTMT). */
#define TCPWIN_TUTORIAL_CONFIG \
	{{TCPWIN_TIMEOUTS(TCPWIN_TIMEOUT_DEFAULT_) 0, 0}, 0, 0, 0, 0, 1, 2, TCPWIN_ON_THRESHOLD_ABORT, 0, {0}}
#define TCPWIN_TIMEOUT_DEFAULT_(name, nanoseconds) nanoseconds,
#define TCPWIN_DEFAULT_CONFIG TCPWIN_TUTORIAL_CONFIG

/* For operation: a flow is a connection, as long as it has a packet within minutes. */
#define TCPWIN_MONITOR_CONFIG                                                                                          \
	{{TCPWIN_SECONDS(60), TCPWIN_SECONDS(30), TCPWIN_SECONDS(300), TCPWIN_SECONDS(5), TCPWIN_SECONDS(5), 0, 0, 0}, \
	 TCPWIN_SECONDS(300),                                                                                          \
	 TCPWIN_SECONDS(5),                                                                                            \
	 20,                                                                                                           \
	 300,                                                                                                          \
	 1,                                                                                                            \
	 10,                                                                                                           \
	 TCPWIN_ON_THRESHOLD_COUNT,                                                                                    \
	 TCPWIN_RULE_FIN_TIMEOUT | TCPWIN_RULE_PROMOTE_ESTABLISHED | TCPWIN_RULE_SKIP_SYN_RST_WINDOWS |                \
		 TCPWIN_RULE_ABORT_ALARM,                                                                              \
	 {0}}

/* How later fragments find the flow of their first (RFC 791, 3.2; RFC 8200, 4.5). One direction. */
struct tcpwin_fragment_key {
	struct tcpwin_address source;
	struct tcpwin_address destination;
	__u32 id; /* identification of the IP header or of the fragment header */
	__u16 vlan;
	__u16 scope;
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_fragment_key) == 2 * 16 + 4 + 2 + 2, "tcpwin_fragment_key has padding");

/* Where the first fragment was counted. */
struct tcpwin_fragment {
	struct tcpwin_key key;
	__u64 flow_id; /* another number under the same key is another flow */
	__u32 sender;
	__u32 zero;
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_fragment) == sizeof(struct tcpwin_key) + 8 + 4 + 4,
		     "tcpwin_fragment has padding");

#define TCPWIN_MAX_FRAGMENTED_PACKETS 16384

/* A packet of a flow and its direction after it (packet mode). */
struct tcpwin_packet_event {
	struct tcpwin_key key;
	__u64 flow_id;
	__u64 now_ns;
	__u64 first_ns;    /* of the direction */
	__u64 previous_ns; /* of the direction; its first packet: now_ns */
	__u32 zero_window_count;
	__u16 window;
	__u8 sender; /* endpoint of the key */
	__u8 a_side;
	__u8 stat;
	__u8 state;
	__u8 timeout;
	__u8 later_fragment; /* 1: window, stat and state are the direction's, not the packet's */
	__u32 segments;      /* packets on the wire that an offloaded frame stands for */
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_packet_event) == sizeof(struct tcpwin_key) + 4 * 8 + 4 + 2 + 6 * 1 + 4,
		     "tcpwin_packet_event has padding");

/* Whose receive windows are closed in how many flows. */
struct tcpwin_source {
	struct tcpwin_address address;
	__u16 vlan;
	__u16 scope;
	__u32 zero;
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_source) == 16 + 2 * 2 + 4, "tcpwin_source has padding");

#define TCPWIN_MAX_STALLED_SOURCES 16384

/* A packet that raised alarms. Index of arrays: endpoint of the key. */
struct tcpwin_alarm {
	struct tcpwin_key key;
	__u64 flow_id;
	__u64 now_ns;
	__u64 stalled_since_ns[2]; /* of the last episode, 0: there was none */
	__u32 zero_window_count[2];
	__u32 stalled_flows; /* of the address that raised STALLED_FLOWS */
	__u32 ifindex;
	__u8 raised[2]; /* enum tcpwin_alarm_kind */
	__u8 a_side;
	__u8 zero[5];
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_alarm) == sizeof(struct tcpwin_key) + 4 * 8 + 4 * 4 + 3 * 1 + 5,
		     "tcpwin_alarm has padding");

/* Stands in the metadata before a frame of a test run. */
struct tcpwin_test_frame {
	__u64 now_ns;
	__u32 wire_length; /* at least what was captured */
	__u32 zero;
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_test_frame) == 8 + 4 + 4, "tcpwin_test_frame has padding");

/* As a time: read CLOCK_BOOTTIME, which goes on while the machine is suspended. */
#define TCPWIN_CLOCK_NOW (~0ULL)

/* Argument and result of the sweep program. */
struct tcpwin_sweep {
	__u64 now_ns;    /* in: the time, or TCPWIN_CLOCK_NOW */
	__u64 linger_ns; /* in: how long an ended entry stays, see tcpwin_linger; 0: make room */
	__u32 shutdown;  /* in: export every flow, expired or not */
	__u32 ifindex;   /* in: export every flow that was first seen there, 0: none */
	__u32 ring_full; /* out: stopped early, drain the ring buffer and sweep again */
	__u32 closely;   /* its own: 1 if more than the expiry of flows counts */
	__u64 exported;  /* out: records made of flows that ended */
	__u64 interim;   /* out: records made of flows that go on */
	__u64 deleted;   /* out: entries removed from the table */
	__u64 remaining; /* out: entries met and left in the table */
	__u64 due_ns;    /* out: when the next of these entries has something to do for a sweep, as it was met */
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_sweep) == 2 * 8 + 4 * 4 + 5 * 8, "tcpwin_sweep has padding");

/*
 * The records that an agent was about to write when it was last heard of, so that
 * the next one can tell whether it did. Only agents write it.
 */
struct tcpwin_batch {
	__u64 position; /* in the ring buffer, after these records */
	__u64 device;   /* of the file, as stat(2) has it */
	__u64 inode;
	__u64 offset; /* in the file, before these records */
	__u64 length; /* bytes; 0: none */
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_batch) == 5 * 8, "tcpwin_batch has padding");

#define TCPWIN_INTERFACE_NAME 16 /* IFNAMSIZ */

/* An interface that is watched, by its index. */
struct tcpwin_interface {
	__u64 since_ns;   /* CLOCK_BOOTTIME when it was attached */
	__u16 scope;      /* of the keys of its flows */
	__u8 link_header; /* bytes before the IP header: 14 (Ethernet), or 0 */
	__u8 ingress;     /* 1: what comes in is counted */
	__u8 zero[4];
	char name[TCPWIN_INTERFACE_NAME]; /* ends with a null byte */
};
TCPWIN_STATIC_ASSERT(sizeof(struct tcpwin_interface) == 8 + 2 + 2 * 1 + 4 + TCPWIN_INTERFACE_NAME,
		     "tcpwin_interface has padding");

#define TCPWIN_MAX_INTERFACES 16384

/* In the ring buffer instead of a record: the flow table is full, sweep now. */
struct tcpwin_table_full {
	__u64 now_ns;
};

#endif
