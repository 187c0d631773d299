/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The settings that a flow obeys, and the profiles.
 */
#ifndef TCPWIN_CONFIG_H
#define TCPWIN_CONFIG_H

#include "base.h"

/*
 * A direction stores the class of its timeout, not the time, so that a change of
 * configuration applies to live flows.
 * X(name, default in nanoseconds)
 */
#define TCPWIN_TIMEOUTS(X)     \
	X(NEW, 10000000000ULL) \
	X(BGN, 2200000000ULL)  \
	X(EST, 1000000000ULL)  \
	X(ABRT, 1000000ULL)    \
	X(FIN, 5000000000ULL)  \
	X(TERMINATED, 0ULL)

enum tcpwin_timeout {
#define X(name, nanoseconds) TCPWIN_TIMEOUT_##name,
	TCPWIN_TIMEOUTS(X)
#undef X
		TCPWIN_TIMEOUT_COUNT
};
#define TCPWIN_TIMEOUT_SLOTS 8 /* three bits, see tcpwin_flow.recent */
TCPWIN_STATIC_ASSERT(TCPWIN_TIMEOUT_COUNT <= TCPWIN_TIMEOUT_SLOTS, "more timeouts than three bits can number");

/* The effect of reaching the abort count: X(name, text). */
#define TCPWIN_ON_THRESHOLD(X)    \
	X(ABORT, "abort")         \
	X(TERMINATE, "terminate") \
	X(COUNT, "count")

/*
 * ABORT: both directions get the timeout ABRT. TERMINATE: the packet is the
 * last one of the flow, the next one begins another flow. COUNT: nothing.
 */
enum tcpwin_on_threshold {
#define X(name, text) TCPWIN_ON_THRESHOLD_##name,
	TCPWIN_ON_THRESHOLD(X)
#undef X
};

/* X(name, bit): how the state machine differs from the tutorial's. */
#define TCPWIN_RULES(X)               \
	X(FIN_TIMEOUT, 0x01)          \
	X(PROMOTE_ESTABLISHED, 0x02)  \
	X(SKIP_SYN_RST_WINDOWS, 0x04) \
	X(ABORT_ALARM, 0x08)          \
	X(IGNORE_VLAN, 0x10)          \
	X(SPLIT_CONNECTIONS, 0x20)    \
	X(STAY_DETACHED, 0x40)        \
	X(SUMMARIZE_UNANSWERED, 0x80)

/*
 * FIN_TIMEOUT: after FIN or RST the timeout stays FIN, after RST in both
 * directions; without the rule it is EST, and ABRT from the next packet on.
 * PROMOTE_ESTABLISHED: state BGN becomes EST with the next packet.
 * SKIP_SYN_RST_WINDOWS: windows of segments with SYN or RST do not count.
 * ABORT_ALARM: reaching the abort count is reported, see TCPWIN_ALARMS.
 * SPLIT_CONNECTIONS: the SYN of another connection begins a new flow, if the stall analysis knows that the one before
 * was reset or closed.
 * IGNORE_VLAN: packets of one connection belong together whatever their VLANs are.
 * STAY_DETACHED: a program that other software detached is not attached again.
 * SUMMARIZE_UNANSWERED: flows of one packet that ended early because the table filled have no records of their own.
 */
enum tcpwin_rule {
#define X(name, bit) TCPWIN_RULE_##name = bit,
	TCPWIN_RULES(X)
#undef X
};

TCPWIN_NO_PADDING_BEGIN
/* May change while packets arrive: each field is read independently. */
struct tcpwin_config {
	__u64 timeout_ns[TCPWIN_TIMEOUT_SLOTS]; /* each at least 1, except TERMINATED, which is 0 */
	__u64 stalled_ns;                       /* minimum timeout of a flow with a closed window; 0: none */
	__u64 stall_alarm_ns;                   /* 0: no alarm; source_alarm likewise */
	__u64 limited_alarm_ns;                 /* 0: no alarm */
	__u64 max_clock_jump_ns;                /* of a capture, see user/capture; 0: its times are taken as they are */
	__u64 unanswered_ns;                    /* timeout of an unanswered flow under pressure, see pressure.h */
	__u32 syn_flood_alarm;                  /* unanswered connections per second and receiver; 0: no alarm */
	__u32 source_alarm;                     /* flows */
	__u32 active_s;                         /* period of interim records; 0: none */
	__u32 window_threshold;                 /* raw windows below it count */
	__u32 abort_count;                      /* that many of them trigger on_threshold */
	__u8 on_threshold;                      /* enum tcpwin_on_threshold */
	__u8 rules;                             /* enum tcpwin_rule */
	__u8 pressure;                          /* percent of the table, 1 to 100 */
	__u8 zero[1];
};
TCPWIN_NO_PADDING_END

/*
 * The profiles. Members are in the order of their declaration, as C++ wants it;
 * a macro cannot have the elements of timeout_ns by designator in C++.
 */
#define TCPWIN_TIMEOUT_DEFAULT_(name, nanoseconds) nanoseconds,

/* The constants of the tutorial (documentation of Tranalyzer2's tcpWinTMT). */
#define TCPWIN_TUTORIAL_CONFIG                                            \
	{                                                                 \
		.timeout_ns = {TCPWIN_TIMEOUTS(TCPWIN_TIMEOUT_DEFAULT_)}, \
		.stalled_ns = 0,                                          \
		.stall_alarm_ns = 0,                                      \
		.limited_alarm_ns = 0,                                    \
		.max_clock_jump_ns = 0,                                   \
		.unanswered_ns = TCPWIN_SECONDS(1),                       \
		.syn_flood_alarm = 0,                                     \
		.source_alarm = 0,                                        \
		.active_s = 0,                                            \
		.window_threshold = 1,                                    \
		.abort_count = 2,                                         \
		.on_threshold = TCPWIN_ON_THRESHOLD_ABORT,                \
		.rules = 0,                                               \
		.pressure = 100,                                          \
		.zero = {0},                                              \
	}
#define TCPWIN_DEFAULT_CONFIG TCPWIN_TUTORIAL_CONFIG

/* For operation: a flow is a connection that has a packet every few minutes. Timeouts: NEW, BGN, EST, ABRT, FIN. */
#define TCPWIN_MONITOR_CONFIG                                                                                         \
	{                                                                                                             \
		.timeout_ns = {TCPWIN_SECONDS(60), TCPWIN_SECONDS(30), TCPWIN_SECONDS(300), TCPWIN_SECONDS(5),        \
			       TCPWIN_SECONDS(5)},                                                                    \
		.stalled_ns = TCPWIN_SECONDS(300),                                                                    \
		.stall_alarm_ns = TCPWIN_SECONDS(5),                                                                  \
		.limited_alarm_ns = TCPWIN_SECONDS(10),                                                               \
		.max_clock_jump_ns = TCPWIN_SECONDS(3600),                                                            \
		.unanswered_ns = TCPWIN_SECONDS(1),                                                                   \
		.syn_flood_alarm = 1000,                                                                              \
		.source_alarm = 20,                                                                                   \
		.active_s = 300,                                                                                      \
		.window_threshold = 1,                                                                                \
		.abort_count = 10,                                                                                    \
		.on_threshold = TCPWIN_ON_THRESHOLD_COUNT,                                                            \
		.rules = TCPWIN_RULE_FIN_TIMEOUT | TCPWIN_RULE_PROMOTE_ESTABLISHED |                                  \
			 TCPWIN_RULE_SKIP_SYN_RST_WINDOWS | TCPWIN_RULE_ABORT_ALARM | TCPWIN_RULE_SPLIT_CONNECTIONS | \
			 TCPWIN_RULE_SUMMARIZE_UNANSWERED,                                                            \
		.pressure = 80,                                                                                       \
		.zero = {0},                                                                                          \
	}

#endif
