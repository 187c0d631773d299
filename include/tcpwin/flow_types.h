/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection, its two directions, and the data of the state machine.
 * The functions are in flow.h and the headers that it includes.
 */
#ifndef TCPWIN_FLOW_TYPES_H
#define TCPWIN_FLOW_TYPES_H

#include "base.h"
#include "analysis.h"
#include "config.h"

/* TCP flags as in octet 13 of the TCP header (RFC 9293, 3.1), in bit order. */
#define TCPWIN_FLAGS(X) \
	X(FIN, 0x01)    \
	X(SYN, 0x02)    \
	X(RST, 0x04)    \
	X(PSH, 0x08)    \
	X(ACK, 0x10)    \
	X(URG, 0x20)    \
	X(ECE, 0x40)    \
	X(CWR, 0x80)

enum tcpwin_flag {
#define X(name, bit) TCPWIN_FLAG_##name = bit,
	TCPWIN_FLAGS(X)
#undef X
};

/* tcpWinState: X(name, code). The codes are Tranalyzer2's. */
#define TCPWIN_STATES(X) \
	X(NEW, 0x00)     \
	X(BGN, 0x01)     \
	X(EST, 0x02)     \
	X(ABRT, 0x04)

enum tcpwin_state {
#define X(name, code) TCPWIN_STATE_##name = code,
	TCPWIN_STATES(X)
#undef X
};

/*
 * Why a receiver is reported, at the packet that causes it:
 * X(name, bit, text in records). ABORT_COUNT: abort_count windows below the
 * threshold, once per flow. STALL: closed for stall_alarm_ns, once per episode.
 * STALLED_FLOWS: its address has more than source_alarm flows with a closed
 * window at once; reported for the first flow above the limit, marked in the
 * following ones as long as the limit is exceeded. LIMITED: its window, closed or
 * too small, has limited the sender for limited_alarm_ns without a break.
 */
#define TCPWIN_ALARMS(X)                        \
	X(ABORT_COUNT, 0x01, "abort_count")     \
	X(STALL, 0x02, "stall")                 \
	X(STALLED_FLOWS, 0x04, "stalled_flows") \
	X(LIMITED, 0x08, "limited")

enum tcpwin_alarm_kind {
#define X(name, bit, text) TCPWIN_ALARM_##name = bit,
	TCPWIN_ALARMS(X)
#undef X
		TCPWIN_ALARM_ALL = 0x0f,
};
#define TCPWIN_ALARM_PENDING(alarms) ((alarms) >> 4 & TCPWIN_ALARM_ALL)

/* tcpWinStat: the low five bits accumulate FIN, SYN, RST, PSH and ACK; the others: */
#define TCPWIN_STATS(X)  \
	X(ABORTED, 0x40) \
	X(BELOW_THRESHOLD, 0x80)

enum tcpwin_stat {
#define X(name, bit) TCPWIN_STAT_##name = bit,
	TCPWIN_STATS(X)
#undef X
		TCPWIN_STAT_FLAGS = 0x1f
};

/* Why a record was made; after ACTIVE_TIMEOUT the flow continues: X(name, text in records). */
#define TCPWIN_END_REASONS(X)               \
	X(IDLE_TIMEOUT, "idle_timeout")     \
	X(ABORT_TIMEOUT, "abort_timeout")   \
	X(SHUTDOWN, "shutdown")             \
	X(INTERFACE_GONE, "interface_gone") \
	X(FIN_TIMEOUT, "fin_timeout")       \
	X(TERMINATED, "terminated")         \
	X(NEW_CONNECTION, "new_connection") \
	X(ACTIVE_TIMEOUT, "active_timeout") \
	X(EVICTED, "evicted")               \
	X(UNANSWERED_TIMEOUT, "unanswered_timeout")

enum tcpwin_end_reason {
#define X(name, text) TCPWIN_END_##name,
	TCPWIN_END_REASONS(X)
#undef X
		TCPWIN_END_COUNT
};

/* Where packets of a flow were seen: X(name, bit, text in records). */
#define TCPWIN_HOOKS(X)                   \
	X(XDP, 0x01, "xdp")               \
	X(TC_INGRESS, 0x02, "tc_ingress") \
	X(TC_EGRESS, 0x04, "tc_egress")

enum tcpwin_hook {
#define X(name, bit, text) TCPWIN_HOOK_##name = bit,
	TCPWIN_HOOKS(X)
#undef X
		TCPWIN_HOOK_ALL = 0x07,
};

#define TCPWIN_NO_WINDOW_SCALE 0xff      /* no SYN, or one without the option */
#define TCPWIN_UNKNOWN_WINDOW_SCALE 0xfe /* the capture ends inside the options */

#define TCPWIN_RECENT_TIMEOUT 7 /* the bits of tcpwin_flow.recent that are a timeout */
TCPWIN_STATIC_ASSERT(TCPWIN_TIMEOUT_SLOTS == TCPWIN_RECENT_TIMEOUT + 1, "tcpwin_flow.recent holds another timeout");

TCPWIN_NO_PADDING_BEGIN
/* An address in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct tcpwin_address {
	__u8 byte[16];
} __attribute__((aligned(8)));

/*
 * A connection, the same for both directions: the lower endpoint (by address,
 * then by port) comes first. Ports are in host order. vlan is the id of the
 * innermost tag, 0 if there is none or if VLANs are ignored (vlan.h). scope
 * separates the flows of different interfaces, 0 if interfaces share them.
 */
struct tcpwin_key {
	struct tcpwin_address address[2];
	__u16 port[2];
	__u16 vlan;
	__u16 scope;
};

/* Counts and state of one endpoint of a flow; packets == 0: it has sent nothing. analysis.h has the stall analysis. */
struct tcpwin_direction {
	__u64 first_ns;
	__u64 last_ns;
	__u64 packets;
	__u64 bytes;             /* sum of the IP total lengths */
	__u32 zero_window_count; /* packets below the window threshold */
	__u16 window_min;        /* raw 16-bit windows, never scaled */
	__u16 window_max;
	__u16 window_last;
	__u8 tcp_flags;    /* seen in any packet, all eight */
	__u8 stat;         /* tcpWinStat */
	__u8 state;        /* enum tcpwin_state */
	__u8 timeout;      /* enum tcpwin_timeout */
	__u8 window_scale; /* of the last SYN, as in tcpwin_packet */
	__u8 alarms;       /* enum tcpwin_alarm_kind: all that it raised; upper half: those still to be reported */
};

/* The socket of this host that sent packets of an endpoint. All zero: none was seen. */
struct tcpwin_socket {
	__u64 cookie; /* SO_COOKIE, never used twice */
	__u64 cgroup; /* ID in the cgroup2 hierarchy, the inode of its directory; 0: unknown */
	__u32 uid;    /* of the owner, in the user namespace of the host */
	__u32 zero;
};

#define TCPWIN_SOCKET_KNOWN 0x10

/* Which endpoints make their peer wait. */
enum tcpwin_stalled {
	TCPWIN_CLOSED_WINDOW = 0x01, /* TCPWIN_STALLED */
	TCPWIN_CLOSED_WINDOWS = 0x03,
	TCPWIN_SMALL_WINDOW = 0x04, /* TCPWIN_SILLY_WINDOW */
};

/*
 * One connection. direction[i], progress[i], limits[i], analysis[i] and socket[i]
 * belong to the key's endpoint i. With its key and 48 bytes of the kernel, an entry
 * is ten whole cache lines.
 */
struct tcpwin_flow {
	__u64 seq;     /* sequence word, see flow_lock.h */
	__u64 id;      /* number of the flow, from 1, in order of first packets */
	__u32 ifindex; /* where the first packet was seen */
	__u8 a_side;   /* which endpoint of the key is A */
	__u8 hooks;    /* enum tcpwin_hook: all that saw a packet; 0: a capture. TCPWIN_SOCKET_KNOWN << i: socket[i] */
	__u8 analyzed; /* 0: progress and analysis are empty or incomplete */
	__u8 stalled;  /* enum tcpwin_stalled, shifted by i for endpoint i; as the flags of progress[i] */
	__u64 recent;  /* of the latest packet: last_ns of its direction, with its timeout in the low bits */
	__u32 continues_back; /* id minus that of the flow of this connection that ended shortly before; 0: none */
	__u32 active_since_s; /* seconds, see tcpwin_active_at; written by the sweep */
	struct tcpwin_direction direction[2];
	struct tcpwin_progress progress[2];
	struct tcpwin_limits limits[2];
	struct tcpwin_analysis analysis[2];
	struct tcpwin_socket socket[2];
	__u64 zero[2];
};

/* How later fragments find the flow of their first (RFC 791, 3.2; RFC 8200, 4.5). One direction. */
struct tcpwin_fragment_key {
	struct tcpwin_address source;
	struct tcpwin_address destination;
	__u32 id; /* identification of the IP header or of the fragment header */
	__u16 vlan;
	__u16 scope;
};

/* Where the first fragment was counted. */
struct tcpwin_fragment {
	struct tcpwin_key key;
	__u64 flow_id; /* another number under the same key is another flow */
	__u32 from;    /* endpoint of the key */
	__u32 zero;
};

/* Key of the number of flows in which the window of this host is closed. */
struct tcpwin_stalled_host {
	struct tcpwin_address address;
	__u16 vlan;
	__u16 scope;
	__u32 zero;
};
TCPWIN_NO_PADDING_END

#define TCPWIN_MAX_FRAGMENTED_PACKETS 16384
#define TCPWIN_MAX_STALLED_HOSTS 16384

/*
 * A flow that begins this long after another of its key expired continues it. A
 * sender that waits for a window probes at intervals of up to two minutes
 * (Linux's TCP_RTO_MAX), so a stalled flow can be continued longer. Entries stay
 * in the tables until then: these numbers cost memory.
 */
#define TCPWIN_CONTINUES_NS TCPWIN_SECONDS(2)
#define TCPWIN_CONTINUES_STALLED_NS TCPWIN_SECONDS(130)

#endif
