/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters of the packet programs: where each packet went, and other events.
 */
#ifndef TCPWIN_COUNTERS_H
#define TCPWIN_COUNTERS_H

#include "base.h"

/* Why a frame is not counted in a flow: X(name, text, explanation). */
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
 * seen" is their sum and has no counter.
 */
#define TCPWIN_VERDICTS(X)                                                              \
	X(TRACKED, "tracked", "TCP packets counted in a flow")                          \
	X(UNTRACKED_FULL, "untracked_full", "TCP packets not tracked: flow table full") \
	X(UNTRACKED_CONTENDED, "untracked_contended", "TCP packets not tracked: contended")

/*
 * Other events that the kernel side counts: X(name, text, explanation, line).
 * line: its name in the end report; "": not in the end report.
 */
#define TCPWIN_EVENTS(X)                                                                                 \
	X(FLOWS_CREATED, "flows_created", "flows begun", "")                                             \
	X(FLOWS_CUT, "flows_cut", "flows ended by the packet that found them expired", "")               \
	X(UNTRACKED_FLOWS, "untracked_flows", "flows not tracked (lower bound): flow table full", "")    \
	X(EVICTED_UNANSWERED, "evicted_unanswered", "unanswered flows evicted: flow table full",         \
	  "Unanswered flows evicted (flow table full)")                                                  \
	X(EVICTED_ENDED, "evicted_ended", "ended flows forgotten at once: flow table full", "")          \
	X(UNRECORDED_FLOWS, "unrecorded_flows", "evicted flows without a record: ring buffer half full", \
	  "Evicted flows without a record (ring buffer half full)")                                      \
	X(UNRECORDED_PACKETS, "unrecorded_packets", "packets of evicted flows without a record",         \
	  "Packets of evicted flows without a record")                                                   \
	X(DEFERRED_CUTS, "deferred_cuts", "packets that prolonged an expired flow: ring buffer full",    \
	  "Deferred cuts (packets that prolonged a flow, ring buffer full)")                             \
	X(DUPLICATES, "duplicates", "segments that were captured again",                                 \
	  "Duplicates (segments that were captured again)")                                              \
	X(IGNORED_SYN, "ignored_syn", "SYN segments that their receiver ignores",                        \
	  "SYN segments that their receiver ignores")                                                    \
	X(IGNORED_RST, "ignored_rst", "RST segments that their receiver ignores",                        \
	  "RST segments that their receiver ignores")                                                    \
	X(IGNORED_FIN, "ignored_fin", "FIN segments that their receiver ignores",                        \
	  "FIN segments that their receiver ignores")                                                    \
	X(IGNORED_ACK, "ignored_ack", "other segments that their receiver ignores",                      \
	  "Other segments that their receiver ignores")                                                  \
	X(IGNORED_CORRECTED, "ignored_corrected",                                                        \
	  "of the ignored segments: those that their receiver accepted after all", "")                   \
	X(FORWARDED, "forwarded", "forwarded frames, counted where they came in only",                   \
	  "Forwarded frames, counted where they came in")                                                \
	X(PACKETS_UNREPORTED, "packets_unreported", "packet records lost: ring buffer full",             \
	  "Packet records lost (ring buffer full)")                                                      \
	X(ALARMS_UNREPORTED, "alarms_unreported", "alarms marked only in their flow: ring buffer full",  \
	  "Alarms that are in the flow records only (ring buffer full)")

/*
 * A flow that finds the table full sets one of these bits, and is counted in
 * untracked_flows if the bit was clear. Flows may share a bit, so their number is
 * estimated (user/record/report.cpp).
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

/* judgement: enum tcpwin_judgement, but not TCPWIN_SEGMENT_ACCEPTED. */
#define TCPWIN_COUNTER_OF_JUDGEMENT(judgement) ((__u32)TCPWIN_COUNTER_DUPLICATES + (__u32)(judgement) - 1)

/* One CPU's counters; only programs that run with softirqs off write them. */
struct tcpwin_counters {
	__u64 value[TCPWIN_COUNTER_COUNT];
	__u64 peak_flows; /* largest number of live flows after one that this CPU created */
};

/* Entries of the map "counters": what packets write, and what an agent of another layout left. */
enum tcpwin_counters_entry {
	TCPWIN_COUNTERS_LIVE,
	TCPWIN_COUNTERS_CARRIED,
	TCPWIN_COUNTERS_ENTRIES,
};

#endif
