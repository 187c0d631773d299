// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The entry points: programs for packets at each hook, and one for the sweep.
 *
 * What a packet means and when a flow ends is decided in include/tcpwin; the
 * headers beside this file determine who writes which map entry when. A frame is
 * never changed or dropped.
 */
#include "sweep.bpf.h"
#include "watch.bpf.h"
#include <linux/pkt_cls.h>

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

/* For test runs: as tcpwin_xdp, with the time and the length in the metadata before the frame. */
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

SEC("syscall")
int tcpwin_sweep(struct tcpwin_sweep *ctx)
{
	struct tcpwin_sweep sweep = *ctx;

	sweep_table(&sweep);
	*ctx = sweep;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
