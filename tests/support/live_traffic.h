/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contents of live frames: shared by the program that writes them and by the
 * tests, which know what to expect.
 *
 * Flow n is a connection of client 10.0.0.0 + n, port 20000 + n % 16384, with the
 * server 192.0.2.1, port 80. What one endpoint of a flow sends is a stream; each
 * has its own IP total length and window, so that a record in which the packets of
 * two streams were mixed is detected.
 */
#ifndef LIVE_TRAFFIC_H
#define LIVE_TRAFFIC_H

#include <linux/types.h>

#define LIVE_MAX_FLOWS (1U << 24)
#define LIVE_SERVER_ADDRESS 0xc0000201U
#define LIVE_SERVER_PORT 80
#define LIVE_SHORTEST_FRAME 54 /* Ethernet, IPv4, TCP */
#define LIVE_FULL_FRAME 182    /* holds the longest IP packet */

enum live_order {
	LIVE_IN_TURN, /* flow after flow, repeatedly */
	LIVE_RANDOM,
	LIVE_TOGETHER, /* the flow is chosen by the clock, so that all senders send the same one at any moment */
};

enum live_side {
	LIVE_CLIENT,
	LIVE_SERVER,
	LIVE_BOTH, /* alternately */
};

struct live_traffic {
	__u32 device; /* index of the interface whose peer gets the frames */
	__u32 first_flow;
	__u32 flows;   /* number of flows, from first_flow on */
	__u32 order;   /* enum live_order */
	__u32 burst;   /* packets in a row of one flow; LIVE_TOGETHER: slice of time, in units of 1024 ns */
	__u32 side;    /* enum live_side: who sends */
	__u32 stalls;  /* 1: clients of even flows announce a window of zero */
	__u32 count;   /* 1: count the packets of each stream */
	__u8 flags[4]; /* of TCP; one of them at random for each packet */
};

static inline __u32 live_client_address(__u32 flow)
{
	return 0x0a000000U + flow;
}

static inline __u16 live_client_port(__u32 flow)
{
	return (__u16)(20000 + flow % 16384);
}

/* Longer ones are counted with the length of the frame, if that is shorter. */
static inline __u16 live_total_length(__u32 flow, __u32 from_server)
{
	return (__u16)(40 + 2 * (flow % 64) + from_server);
}

static inline __u16 live_window(__u32 flow, __u32 from_server, __u32 stalls)
{
	return stalls && !from_server && flow % 2 == 0 ? 0 : (__u16)(1000 + flow % 4096);
}

/* Index of a stream's counter. */
static inline __u32 live_stream(__u32 flow, __u32 from_server)
{
	return 2 * flow + from_server;
}

#endif
