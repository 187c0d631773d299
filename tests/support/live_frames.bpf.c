// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes live frames: run by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, it
 * writes addresses, ports, length, flags and window into the frame it is given
 * and redirects it. The frames of a pool are reused, so everything that differs
 * between packets is written each time.
 */
#include "live_traffic.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

const volatile struct live_traffic traffic = {0};

__u64 written = 0; /* frames handed to the redirect; only one sender runs a program at a time */
__u64 state = 1;   /* of the random numbers, never 0 */
__u32 turn = 0;    /* flow, counted from the first */
__u32 left = 0;    /* of the burst */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set by the sender */
	__type(key, __u32);
	__type(value, __u64);
} streams SEC(".maps");

static __always_inline __u32 random_number(void)
{
	__u64 x = state; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	state = x;
	return x >> 32;
}

/* Returns a number below traffic.flows, distributed evenly enough, without a division. */
static __always_inline __u32 scale(__u32 number)
{
	return (__u64)number * traffic.flows >> 32;
}

static __always_inline void next_turn(void)
{
	if (left--)
		return;
	left = traffic.burst - 1;
	if (traffic.order == LIVE_RANDOM)
		turn = scale(random_number());
	else if (++turn >= traffic.flows)
		turn = 0;
}

static __always_inline __u32 flow_of_this_moment(void)
{
	__u64 slice = (bpf_ktime_get_boot_ns() >> 10) / traffic.burst;

	return scale(slice * 0x9e3779b97f4a7c15ULL >> 32);
}

static __always_inline __u32 choose_flow(void)
{
	if (traffic.order == LIVE_TOGETHER)
		return traffic.first_flow + flow_of_this_moment();
	next_turn();
	return traffic.first_flow + turn;
}

static __always_inline __u32 choose_side(void)
{
	return traffic.side == LIVE_BOTH ? written & 1 : traffic.side == LIVE_SERVER;
}

static __always_inline void write(struct frame *frame, __u32 flow, __u32 from_server)
{
	__be32 client = bpf_htonl(live_client_address(flow)), server = bpf_htonl(LIVE_SERVER_ADDRESS);
	__be16 client_port = bpf_htons(live_client_port(flow)), server_port = bpf_htons(LIVE_SERVER_PORT);

	frame->ip.saddr = from_server ? server : client;
	frame->ip.daddr = from_server ? client : server;
	frame->ip.tot_len = bpf_htons(live_total_length(flow, from_server));
	frame->tcp.source = from_server ? server_port : client_port;
	frame->tcp.dest = from_server ? client_port : server_port;
	frame->tcp.window = bpf_htons(live_window(flow, from_server, traffic.stalls));
	((__u8 *)&frame->tcp)[13] = traffic.flags[random_number() & 3];
}

SEC("xdp")
int live_frames(struct xdp_md *ctx)
{
	struct frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__u32 flow = choose_flow(), from_server = choose_side();
	write(frame, flow, from_server);
	if (traffic.count) {
		__u32 stream = live_stream(flow - traffic.first_flow, from_server);
		__u64 *packets = bpf_map_lookup_elem(&streams, &stream);
		if (packets)
			++*packets;
	}
	written++;
	return bpf_redirect(traffic.device, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
