/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the stall analysis stores for a flow. The functions are in stall.h.
 *
 * Two structs per endpoint: one that nearly every packet reads and writes, and
 * one that few do. In struct tcpwin_flow both come after the plain counting, so that
 * its cache lines stay as they are.
 */
#ifndef TCPWIN_ANALYSIS_H
#define TCPWIN_ANALYSIS_H

#include "base.h"

/* How a stall ended: X(name, text in records). */
#define TCPWIN_STALL_ENDS(X)  \
	X(RESUMED, "resumed") \
	X(FIN, "fin")         \
	X(RESET, "reset")     \
	X(NEW_CONNECTION, "new_connection")

enum tcpwin_stall_end {
	TCPWIN_STALL_END_NONE,
#define X(name, text) TCPWIN_STALL_END_##name,
	TCPWIN_STALL_ENDS(X)
#undef X
};

/* The state of an endpoint; any flag but the first two takes the slow path of stall.h. */
enum tcpwin_progress_flag {
	TCPWIN_KNOWN_SEQUENCE = 0x01, /* next is known */
	TCPWIN_KNOWN_ACK = 0x02,      /* ack and window are known */
	TCPWIN_KNOWN_ALL = 0x03,
	TCPWIN_SYN_WINDOW = 0x04,   /* the window is that of a SYN, which is never scaled */
	TCPWIN_SYN_PENDING = 0x08,  /* its SYN, sent once, awaits the answer */
	TCPWIN_STALLED = 0x10,      /* its window is closed, an episode is open */
	TCPWIN_PROBED = 0x20,       /* and the peer probed the window */
	TCPWIN_CARRIED = 0x40,      /* the window is that of the preceding flow; this one has had none yet */
	TCPWIN_OWES_ACK = 0x80,     /* the peer, stalled, sent something that has to be acknowledged */
	TCPWIN_DOUBTED = 0x100,     /* it sent segments that the peer may have ignored: its answer will show */
	TCPWIN_DOUBTED_SYN = 0x200, /* a SYN among them: the last one */
	TCPWIN_DOUBTED_RST = 0x400, /* a RST in the window, likewise */
	TCPWIN_DOUBTED_ACK = 0x800, /* an acknowledgement of what was not seen, likewise */
	TCPWIN_SILLY_WINDOW =
		0x1000, /* its window is silly, see tcpwin_is_silly, and the peer had filled the one before */
};

enum tcpwin_analysis_flag {
	TCPWIN_ANALYSIS_FIN = 0x01,   /* it sent a FIN */
	TCPWIN_ANALYSIS_RTT = 0x02,   /* handshake_rtt_ns is known */
	TCPWIN_ANALYSIS_ALARM = 0x04, /* this episode has lasted long enough for an alarm */
	TCPWIN_ANALYSIS_RST = 0x08,   /* it reset the connection */
};

/* What a sender is doing, see limits.h. */
enum tcpwin_limits_phase {
	TCPWIN_LIMITS_NONE,     /* it has sent no data yet */
	TCPWIN_LIMITS_IDLE,     /* all its data is acknowledged */
	TCPWIN_LIMITS_NETWORK,  /* data is outstanding, and the window has room for a segment */
	TCPWIN_LIMITS_RECEIVER, /* the window has no room */
	TCPWIN_LIMITS_OPENED,   /* the window has room again; whether the sender waited for that is not known yet */
};
#define TCPWIN_LIMITS_PHASE 0x07 /* the bits of tcpwin_limits.phase that are a phase; the others: */

enum tcpwin_limits_flag {
	TCPWIN_LIMITS_ACKED = 0x08,   /* RECEIVER, OPENED: all data was acknowledged meanwhile */
	TCPWIN_LIMITS_WAITING = 0x10, /* RECEIVER, OPENED: it sent a probe, so it has data to send */
	TCPWIN_LIMITS_RUN = 0x20,     /* the receiver has limited it since run, without a break */
	TCPWIN_LIMITS_ALARM = 0x40,   /* for so long that an alarm was raised */
	TCPWIN_LIMITS_FAR = 0x80,     /* it uses all of its window, as a point far from it sees */
	TCPWIN_LIMITS_LASTING = TCPWIN_LIMITS_RUN | TCPWIN_LIMITS_ALARM | TCPWIN_LIMITS_FAR,
};

/* A window below it is silly. */
#define TCPWIN_SILLY_BYTES 536

#define TCPWIN_RECENT_SEGMENTS 4

/* tcpwin_analysis.scale, the window scaling that its SYN offers: 0, no SYN seen; 1 + shift; or: */
#define TCPWIN_SCALE_NONE 0xff

TCPWIN_NO_PADDING_BEGIN
/* What one endpoint sends, and its position. Sequence numbers are modulo 2^32. */
struct tcpwin_progress {
	__u32 next;           /* sequence number after the highest seen */
	__u32 ack;            /* acknowledgement number of the segment that announced window */
	__u16 window;         /* raw, of the last segment that is not stale */
	__u16 flags;          /* enum tcpwin_progress_flag */
	__u16 duplicate_acks; /* in a row */
	__u8 shift;           /* of the window, 0 unless both SYNs had the option */
	__u8 doubted;         /* segments that the peer may have ignored, see acceptance.h */
	__u64 payload_bytes;
	__u64 next_ns;       /* when next advanced */
	__u32 in_flight_max; /* bytes; 0: never measured */
	__u16 window_min;    /* raw, of segments without SYN and RST; max < min: there was none */
	__u16 window_max;
	__u32 recent[TCPWIN_RECENT_SEGMENTS]; /* the last segments, see duplicate.h */
};

/* What held one endpoint up when it sent. Times and sums are in units of tcpwin_limits_time. */
struct tcpwin_limits {
	__u32 since;  /* RECEIVER, OPENED: when all data was acknowledged, if it was; else when the phase began */
	__u32 opened; /* OPENED: since when */
	__u32 network;
	__u32 receiver;
	__u32 application;
	__u32 edge; /* sequence number after the window as it was at edge_time, see tcpwin_note_far */
	__u32 edge_time;
	__u16 run;    /* when the run began, see TCPWIN_RUN_SHIFT */
	__u8 segment; /* largest payload, see TCPWIN_LIMITS_SEGMENT */
	__u8 phase;   /* enum tcpwin_limits_phase and enum tcpwin_limits_flag */
};

/* The stalls of one endpoint's receiver, and the rarer segments. */
struct tcpwin_analysis {
	__u64 stalled_since_ns; /* of the last episode */
	__u64 stalled_ns;       /* sum over the episodes that have ended */
	__u64 longest_ns;       /* of these */
	__u32 handshake_rtt_ns; /* from the peer's SYN to the answer of this endpoint */
	__u32 zero_windows;     /* segments, see stall.h */
	__u32 episodes;
	__u32 probes;        /* sent by the peer */
	__u32 probe_answers; /* with the window still closed */
	__u32 window_updates;
	__u32 window_shrinks;
	__u32 window_full; /* segments of the peer that reached the end of this window */
	__u32 keep_alives;
	__u32 retransmitted; /* segments */
	__u32 out_of_order;  /* segments */
	__u32 ignored;       /* segments that the peer ignored */
	__u32 duplicates;    /* segments that were captured again */
	__u32 doubt;      /* sequence number after the last doubted segment; TCPWIN_DOUBTED_ACK: what it acknowledged */
	__u16 vlans[2];   /* ids of its packets, see vlan.h; 0: none. Noted without stall analysis, too */
	__u8 scale;       /* see TCPWIN_SCALE_NONE */
	__u8 doubt_scale; /* of a doubted SYN */
	__u8 ended;       /* enum tcpwin_stall_end, of the last episode that ended */
	__u8 flags;       /* enum tcpwin_analysis_flag */
};
TCPWIN_NO_PADDING_END

#endif
