/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages from the programs to the agent, in two ring buffers: "records", where
 * each message begins with its type, and "packets".
 */
#ifndef TCPWIN_MESSAGES_H
#define TCPWIN_MESSAGES_H

#include "flow_types.h"

/*
 * X(name, struct). The numbers outlive an agent: append only. 0 means no type,
 * as in maps of layouts up to 3.
 */
#define TCPWIN_MESSAGES(X)       \
	X(RECORD, tcpwin_record) \
	X(ALARM, tcpwin_alarm)   \
	X(TABLE_FULL, tcpwin_table_full)

enum tcpwin_message {
	TCPWIN_MESSAGE_NONE,
#define X(name, type) TCPWIN_MESSAGE_##name,
	TCPWIN_MESSAGES(X)
#undef X
};

TCPWIN_NO_PADDING_BEGIN
/* A flow that ended, or an interim report of one: all that the agent needs to write its record. */
struct tcpwin_record {
	__u32 type;  /* TCPWIN_MESSAGE_RECORD */
	__u8 reason; /* enum tcpwin_end_reason */
	__u8 zero[3];
	__u64 now_ns; /* clock when the record was made */
	struct tcpwin_key key;
	struct tcpwin_flow flow;
};

/* A packet that raised alarms. Index of arrays: endpoint of the key. */
struct tcpwin_alarm {
	__u32 type;     /* TCPWIN_MESSAGE_ALARM */
	__u8 raised[2]; /* enum tcpwin_alarm_kind */
	__u8 a_side;
	__u8 zero;
	__u64 now_ns;
	struct tcpwin_key key;
	__u64 flow_id;
	__u64 stalled_since_ns[2]; /* of the last episode; 0: none */
	__u64 limited_ns[2];       /* how long it has limited its peer without a break, in steps of TCPWIN_RUN_SHIFT */
	__u32 zero_window_count[2];
	__u32 stalled_flows; /* of the address that raised STALLED_FLOWS */
	__u32 ifindex;
	struct tcpwin_socket socket[2];
};

/* The flow table is full: sweep now. */
struct tcpwin_table_full {
	__u32 type; /* TCPWIN_MESSAGE_TABLE_FULL */
	__u32 zero;
	__u64 now_ns;
};

/* A packet of a flow and its direction after it (packet mode). */
struct tcpwin_packet_event {
	struct tcpwin_key key; /* of the flow, but with the VLAN of the packet */
	__u64 flow_id;
	__u64 now_ns;
	__u64 first_ns;    /* of the direction */
	__u64 previous_ns; /* of the direction; its first packet: now_ns */
	__u32 zero_window_count;
	__u16 window;
	__u8 from; /* endpoint of the key */
	__u8 a_side;
	__u8 stat;
	__u8 state;
	__u8 timeout;
	__u8 later_fragment; /* 1: window, stat and state are the direction's, not the packet's */
	__u32 segments;      /* packets on the wire that an offloaded frame stands for */
};
TCPWIN_NO_PADDING_END

#define X(name, message) \
	TCPWIN_STATIC_ASSERT(__builtin_offsetof(struct message, type) == 0, #message " does not begin with its type");
TCPWIN_MESSAGES(X)
#undef X

#endif
