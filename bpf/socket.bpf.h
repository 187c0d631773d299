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
__attribute__((noinline)) int store_socket(const struct arrival *arrival, const struct tcpwin_socket *socket)
{
	if (!arrival || !socket)
		return 0;
	__u32 from = arrival->from & 1;
	struct tcpwin_flow *flow = bpf_map_lookup_elem(&flows, &arrival->key);
	int lock = flow ? lock_flow(flow, arrival->key_hash) : LOCK_GONE;

	if (lock == LOCKED_ENDED)
		unlock_ended(flow);
	if (lock != LOCKED_LIVE)
		return 0;
	if (flow->id == arrival->flow_id) {
		flow->socket[from] = *socket;
		flow->hooks |= TCPWIN_SOCKET_KNOWN << from;
	}
	unlock_flow(flow);
	return 0;
}

/*
 * The kernel's own answers (a RST for a closed port, an ACK in TIME-WAIT) are sent by a socket of the kernel, and those
 * to a SYN before there is a connection by a request: neither has the ports of the packet.
 */
static __always_inline void note_socket(struct __sk_buff *skb, const struct arrival *arrival)
{
	struct bpf_sock *sender = skb->sk;

	if (sender)
		sender = bpf_sk_fullsock(sender);
	if (!sender || sender->protocol != IPPROTO_TCP || sender->src_port != arrival->packet.source_port ||
	    bpf_ntohs(sender->dst_port) != arrival->packet.destination_port)
		return;
	struct tcpwin_socket socket = {
		.cookie = bpf_get_socket_cookie(skb),
		.cgroup = bpf_skb_cgroup_id(skb),
		.uid = bpf_get_socket_uid(skb),
	};
	store_socket(arrival, &socket);
}

#endif
