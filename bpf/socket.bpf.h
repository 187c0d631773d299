/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which socket of this host sends the packets of an endpoint. Noted once per
 * endpoint and flow, at tc: an XDP program runs before there is a socket.
 */
#ifndef TCPWIN_SOCKET_BPF_H
#define TCPWIN_SOCKET_BPF_H

#include "arrival.bpf.h"
#include "ownership.bpf.h"
#include <bpf/bpf_endian.h>
#include <linux/in.h>

/* Nothing if the flow has ended since, or another CPU keeps it locked: the next packet tries again. */
static __always_inline void store_socket(const struct arrival *arrival, const struct tcpwin_socket *socket)
{
	__u32 from = arrival->from & 1;
	struct tcpwin_key key = arrival->key; /* Linux 6.1 takes no key from the memory of a caller */
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &key);
	int lock = flow ? lock_flow(flow, arrival->key_hash) : LOCK_GONE;

	if (lock == LOCKED_ENDED)
		unlock_ended(flow);
	if (lock != LOCKED_LIVE)
		return;
	if (flow->id == arrival->flow_id) {
		flow->socket[from] = *socket;
		flow->hooks |= TCPWIN_SOCKET_KNOWN << from;
	}
	unlock_flow(flow);
}

/*
 * The kernel's own answers (a RST for a closed port, an ACK in TIME-WAIT) are sent by a socket of the kernel, and those
 * to a SYN before there is a connection by a request: neither has the ports of the packet. Global: the verifier checks it
 * once.
 */
__attribute__((noinline)) int note_socket(struct __sk_buff *skb, const struct arrival *arrival)
{
	struct bpf_sock *sender = skb->sk;

	if (!arrival || !sender)
		return 0;
	sender = bpf_sk_fullsock(sender);
	if (!sender || sender->protocol != IPPROTO_TCP || sender->src_port != arrival->packet.source_port ||
	    bpf_ntohs(sender->dst_port) != arrival->packet.destination_port)
		return 0;
	struct tcpwin_socket socket = {
		.cookie = bpf_get_socket_cookie(skb),
		.cgroup = bpf_skb_cgroup_id(skb),
		.uid = bpf_get_socket_uid(skb),
	};
	store_socket(arrival, &socket);
	return 0;
}

#endif
