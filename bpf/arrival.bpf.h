/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet while the program handles it, and where it was counted.
 */
#ifndef TCPWIN_ARRIVAL_BPF_H
#define TCPWIN_ARRIVAL_BPF_H

#include "maps.bpf.h"
#include <tcpwin/flow.h>

enum verdict {
	TRACKED = TCPWIN_COUNTER_TRACKED,
	UNTRACKED_FULL = TCPWIN_COUNTER_UNTRACKED_FULL,
	UNTRACKED_CONTENDED = TCPWIN_COUNTER_UNTRACKED_CONTENDED,
	HEADLESS_FRAGMENT = TCPWIN_COUNTER_LATER_FRAGMENT,
	LOOK_UP_AGAIN,
};

struct arrival {
	struct tcpwin_packet packet;
	struct tcpwin_key key;
	__u64 now;
	__u64 flow_id; /* of the flow in which it was counted */
	__u32 from;    /* endpoint of the key */
	__u32 key_hash;
	__u32 ifindex;
	__u8 stalled;   /* tcpwin_flow.stalled before it */
	__u8 hooks;     /* tcpwin_flow.hooks, of which TCPWIN_SOCKET_KNOWN is used */
	__u8 alarmed;   /* 1: scratch_alarm is to be reported */
	__u8 evictions; /* to make room for its flow */
};

#endif
