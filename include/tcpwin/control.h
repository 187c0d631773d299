/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the agent passes to the programs, or leaves in their maps for the next
 * agent.
 */
#ifndef TCPWIN_CONTROL_H
#define TCPWIN_CONTROL_H

#include "base.h"

#define TCPWIN_CLOCK_NOW (~0ULL) /* as a time: read CLOCK_BOOTTIME, which includes time suspended */

#define TCPWIN_INTERFACE_NAME 16 /* IFNAMSIZ */
#define TCPWIN_MAX_INTERFACES 16384

TCPWIN_NO_PADDING_BEGIN
/* Argument and result of the sweep program. */
struct tcpwin_sweep {
	__u64 now_ns;    /* in: the time, or TCPWIN_CLOCK_NOW */
	__u64 linger_ns; /* in: how long an ended entry stays, see tcpwin_linger; 0: make room */
	__u32 shutdown;  /* in: export every flow, expired or not */
	__u32 ifindex;   /* in: export every flow that was first seen there; 0: none */
	__u32 ring_full; /* out: stopped early; drain the ring buffer and sweep again */
	__u32 closely;   /* internal: 1 if a live flow that has not expired may need attention */
	__u32 examine;   /* in: examine the pressure (pressure.h), and end unanswered flows if there is any */
	__u32 zero;
	__u64 unanswered_ns; /* internal: their timeout, or more than any time */
	__u64 exported;      /* out: records of flows that ended */
	__u64 interim;       /* out: records of flows that continue */
	__u64 early;         /* out: of these, unanswered ones that ended early */
	__u64 deleted;       /* out: entries removed from the table */
	__u64 remaining;     /* out: entries met and left in the table */
	__u64 due_ns;        /* out: when the first of these entries needs a sweep, as far as the sweep saw */
};

/*
 * The records that an agent is about to write. If it is killed, the next agent
 * finds out from this whether they were written. Only agents write it.
 */
struct tcpwin_batch {
	__u64 position; /* in the ring buffer, after these records */
	__u64 device;   /* of the file, as in stat(2) */
	__u64 inode;
	__u64 offset; /* in the file, before these records */
	__u64 length; /* bytes; 0: none */
};

/* A watched interface, by its index. */
struct tcpwin_interface {
	__u64 since_ns;   /* CLOCK_BOOTTIME when it was attached */
	__u16 scope;      /* of the keys of its flows */
	__u8 link_header; /* bytes before the IP header: 14 (Ethernet), or 0 */
	__u8 ingress;     /* 1: incoming packets are counted */
	__u8 zero[4];
	char name[TCPWIN_INTERFACE_NAME]; /* null-terminated */
};

/* Metadata before a frame of a test run. */
struct tcpwin_test_frame {
	__u64 now_ns;
	__u32 wire_length; /* at least what was captured */
	__u32 zero;
};
TCPWIN_NO_PADDING_END

#endif
