/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts each frame at a hook in exactly one counter, see TCPWIN_VERDICTS.
 */
#ifndef TCPWIN_WATCH_BPF_H
#define TCPWIN_WATCH_BPF_H

#include "fragment.bpf.h"
#include "frame.bpf.h"
#include "socket.bpf.h"
#include "track.bpf.h"

#define MAX_HEADERS 512 /* bytes of a frame that are searched for headers */

static __always_inline enum tcpwin_counter track_packet(struct arrival *arrival)
{
	enum verdict verdict = track(arrival);

	if (arrival->packet.first_fragment && verdict == TRACKED)
		remember_fragment(arrival);
	return (enum tcpwin_counter)verdict;
}

/* arrival->packet was parsed, or is a later fragment. now: its time, or TCPWIN_CLOCK_NOW. */
static __always_inline void watch(struct arrival *arrival, enum tcpwin_reject reject, __u64 now)
{
	if (reject && reject != TCPWIN_REJECT_LATER_FRAGMENT) {
		count(TCPWIN_COUNTER_OF_REJECT(reject));
		return;
	}
	arrival->evictions = 0;
	arrival->now = now == TCPWIN_CLOCK_NOW ? bpf_ktime_get_boot_ns() : now;
	add_counter(reject ? (enum tcpwin_counter)track_fragment(arrival) : track_packet(arrival),
		    arrival->packet.segments);
}

/* Whether a forwarded packet was counted at its ingress. Local packets have no ingress interface. */
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
	/* Some drivers leave headers outside the linear part; the pull moves bytes and changes none. */
	if (is_truncated(reject) && skb->data_end - skb->data < skb->len) {
		bpf_skb_pull_data(skb, skb->len < MAX_HEADERS ? skb->len : MAX_HEADERS);
		reject = parse_skb(skb, interface->link_header, &arrival.packet);
	}
	if (!reject)
		tcpwin_count_segments(&arrival.packet, skb->gso_segs, skb->gso_size);
	arrival.packet.hook = hook;
	arrival.packet.scope = interface->scope;
	arrival.ifindex = ifindex;
	arrival.from = 0;
	arrival.hooks = 0xff; /* unless it is counted: nothing to note */
	watch(&arrival, reject, TCPWIN_CLOCK_NOW);
	if (attribute && skb->sk && !(arrival.hooks & TCPWIN_SOCKET_KNOWN << (arrival.from & 1)))
		note_socket(skb, &arrival);
}

#endif
