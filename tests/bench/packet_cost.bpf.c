// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs to compare the cost of a packet with. parse and floor use the production parser, key, clock and table; same
 * and vary change the frame before the tail call to the program in next: each acknowledges another byte, as the
 * packets of a transfer do, and vary belongs to another flow.
 */
#include "../../bpf/frame.bpf.h"
#include <tcpwin/key.h>

#define ADDRESSES 26    /* of an IPv4 frame without VLAN tag: source, then destination */
#define ACK 42          /* the acknowledgement number */
#define PEER 0x0200000a /* 10.0.0.2; both ports of the frame are equal, so that either end may send */

__u64 prng = 88172645463325252ULL;
__u32 flow_mask = 0; /* not 0: one of flow_mask + 1 flows at random; 0: one after the other, never the same */
__u32 next_flow = 0;
__u32 next_ack = 1; /* before the sequence number of the frame, so both ends may send it */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("xdp.frags")
int cost_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int cost_parse(struct xdp_md *ctx)
{
	struct tcpwin_packet packet;

	return parse_xdp(ctx, length_of_frame(ctx), &packet) ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int cost_floor(struct xdp_md *ctx)
{
	struct tcpwin_packet packet;
	struct tcpwin_key key;

	if (parse_xdp(ctx, length_of_frame(ctx), &packet))
		return XDP_DROP;
	packet.scope = 0;
	tcpwin_make_key(&packet, &config, &key);
	if (!bpf_ktime_get_boot_ns())
		return XDP_DROP;
	return bpf_map_lookup_elem(&flows, &key) ? XDP_PASS : XDP_DROP;
}

/* Marsaglia's xorshift. */
static __always_inline __u64 draw(void)
{
	__u64 x = prng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	prng = x;
	return x;
}

SEC("xdp.frags")
int cost_same(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;

	if (data + ACK + 4 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	*(__u32 *)(data + ACK) = bpf_htonl(next_ack++);
	bpf_tail_call(ctx, &next, 0);
	return XDP_DROP;
}

SEC("xdp.frags")
int cost_vary(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u64 drawn = flow_mask ? draw() : 0;
	__u32 flow = flow_mask ? drawn & flow_mask : next_flow++;
	__u32 swap = (flow ^ PEER) & -(__u32)(drawn >> 63);

	if (data + ACK + 4 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	*(__u32 *)(data + ACK) = bpf_htonl(next_ack++);
	*(__u32 *)(data + ADDRESSES) = flow ^ swap;
	*(__u32 *)(data + ADDRESSES + 4) = PEER ^ swap;
	bpf_tail_call(ctx, &next, 0);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
