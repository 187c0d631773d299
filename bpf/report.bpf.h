/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages to the agent other than records and alarms: packets (packet mode),
 * and that the table is full.
 */
#ifndef TCPWIN_REPORT_BPF_H
#define TCPWIN_REPORT_BPF_H

#include "arrival.bpf.h"

#define FULL_NOTICE_NS 10000000 /* notify the agent at most a hundred times per second */

/* Packet mode: where to describe a packet while its flow is locked; NULL if the mode is off. */
static __always_inline struct tcpwin_packet_event *scratch_event(void)
{
	__u32 only = 0;

	return report_packets ? bpf_map_lookup_elem(&scratch, &only) : NULL;
}

/* Called before the packet is counted, for fill_event. */
static __always_inline void note_previous(const struct arrival *arrival, const struct tcpwin_flow *flow)
{
	struct tcpwin_packet_event *event = scratch_event();

	if (event)
		event->previous_ns = flow->direction[arrival->from & 1].last_ns;
}

static __always_inline struct tcpwin_packet_event *fill_event(const struct arrival *arrival,
							      const struct tcpwin_flow *flow, int later_fragment)
{
	struct tcpwin_packet_event *event = scratch_event();

	if (event)
		tcpwin_fill_packet_event(event, &arrival->key, flow, &arrival->packet, arrival->from, arrival->now,
					 event->previous_ns, later_fragment);
	return event;
}

/* Called after the flow was unlocked. Never waits: packets that the ring buffer cannot hold are counted. */
static __always_inline void report_packet(struct tcpwin_packet_event *event)
{
	if (event && bpf_ringbuf_output(&packets, event, sizeof(*event), 0))
		count(TCPWIN_COUNTER_PACKETS_UNREPORTED);
}

/*
 * Wakes the agent for an early sweep because the table is full, or filled to the mark. The message is lost if the ring
 * buffer is full, too; the agent is awake then.
 * If another CPU read the clock later and has notified already, notified is ahead of now.
 * Out of line because of its stack: the longest chain of calls uses all 512 bytes, as Linux 6.1 counts them (each frame
 * rounded up to 32).
 */
static __attribute__((noinline)) int notify_full(__u64 now)
{
	struct tcpwin_table_full notice = {.type = TCPWIN_MESSAGE_TABLE_FULL, .now_ns = now};
	__u64 notified = full_notified_ns;

	if (now < notified + FULL_NOTICE_NS ||
	    __sync_val_compare_and_swap(&full_notified_ns, notified, now) != notified)
		return 0;
	return bpf_ringbuf_output(&records, &notice, sizeof(notice), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void note_untracked_flow(__u32 key_hash)
{
	__u32 bit = key_hash % TCPWIN_UNTRACKED_BITS, index = bit / 64;
	__u64 mask = 1ULL << bit % 64;
	__u64 *bits = bpf_map_lookup_elem(&untracked, &index);

	if (bits && !(*bits & mask) && !(__sync_fetch_and_or(bits, mask) & mask))
		count(TCPWIN_COUNTER_UNTRACKED_FLOWS);
}

#endif
