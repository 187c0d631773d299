/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens when the flow table fills: which flows end early, and when that
 * begins and ends. A flood must not keep other flows out of the table.
 *
 * A flow is unanswered until both of its endpoints have sent a segment with ACK:
 * after a SYN of a forged address, after a port scan, in a flow of which only one
 * direction is seen. It is half open if both have sent something: SYN and SYN-ACK.
 * There are two means against unanswered flows:
 *  - Pressure: above config.pressure percent of the table they get the timeout
 *    config.unanswered_ns, half-open ones TCPWIN_HALF_OPEN_FACTOR times as much, because a
 *    SYN-ACK that is lost is sent again; ended flows are not kept to
 *    be continued. Examined every TCPWIN_PRESSURE_PERIOD_NS.
 *  - Eviction: a flow that finds the table full takes the place of the oldest
 *    one, by its number, that has ended or of which one direction was seen. The
 *    numbers are gone through once, in order; half-open flows are put aside in
 *    a queue then, and evicted, the oldest first, if there is no other flow to
 *    evict. A flow that is answered is never evicted.
 *
 * Pure functions. The callers have the table, and remember which key each number
 * had, for as many of the latest numbers as the table has entries.
 */
#ifndef TCPWIN_PRESSURE_H
#define TCPWIN_PRESSURE_H

#include "flow_types.h"

#define TCPWIN_PRESSURE_PERIOD_NS 100000000
#define TCPWIN_MAX_CANDIDATES \
	1024 /* examined by one packet at most; each number is examined once, so by far fewer on average */
#define TCPWIN_HALF_OPEN_FACTOR \
	8 /* SYN-ACKs that are lost are sent again after 1, 3 and 7 s (RFC 6298, RTO 1 s, doubled) */

TCPWIN_NO_PADDING_BEGIN
struct tcpwin_pressure {
	__u64 since_ns;   /* when it began; 0: there is none */
	__u64 counted_ns; /* since when ended_early counts */
	__u64 ended_early;
};
TCPWIN_NO_PADDING_END

TCPWIN_INLINE int tcpwin_is_unanswered(const struct tcpwin_flow *flow)
{
	return !(flow->direction[0].tcp_flags & flow->direction[1].tcp_flags & TCPWIN_FLAG_ACK);
}

/* Of an unanswered flow. */
TCPWIN_INLINE int tcpwin_is_half_open(const struct tcpwin_flow *flow)
{
	return flow->direction[0].packets && flow->direction[1].packets;
}

/* Whether the flow ends early, if the table is under pressure. unanswered_ns: as in the configuration. */
TCPWIN_INLINE int tcpwin_ends_early(const struct tcpwin_flow *flow, __u64 unanswered_ns, __u64 now)
{
	__u64 recent = flow->recent & ~(__u64)TCPWIN_RECENT_TIMEOUT;

	return now >= recent + unanswered_ns && tcpwin_is_unanswered(flow) &&
	       (!tcpwin_is_half_open(flow) || now >= recent + TCPWIN_HALF_OPEN_FACTOR * unanswered_ns);
}

/* Most half-open flows that are put aside. */
TCPWIN_INLINE __u32 tcpwin_max_half_open(__u32 max_flows)
{
	return max_flows / 4 + 1;
}

/* Number of entries from which on the table is under pressure. */
TCPWIN_INLINE __u64 tcpwin_pressure_mark(const struct tcpwin_config *config, __u64 max_flows)
{
	__u64 mark = max_flows * config->pressure / 100;

	return mark ? mark : 1;
}

/* Number of the first flow that can still be found by its number, if all up to youngest have been given. */
TCPWIN_INLINE __u64 tcpwin_first_remembered(__u64 youngest, __u64 max_flows)
{
	return youngest > max_flows ? youngest - max_flows + 1 : 1;
}

/*
 * Begins or ends the pressure; live: flows in the table. It ends when the flows
 * that ended early would not have filled the table either, had they kept their
 * usual timeout; so it does not begin again and again while a flood goes on.
 */
TCPWIN_INLINE void tcpwin_update_pressure(struct tcpwin_pressure *pressure, const struct tcpwin_config *config,
					  __u64 max_flows, __u64 live, __u64 now)
{
	__u64 mark = tcpwin_pressure_mark(config, max_flows);
	__u64 usual_ns = config->timeout_ns[TCPWIN_TIMEOUT_NEW], bgn_ns = config->timeout_ns[TCPWIN_TIMEOUT_BGN];

	if (usual_ns < bgn_ns)
		usual_ns = bgn_ns;
	if (!pressure->since_ns) {
		if (live < mark && !pressure->ended_early)
			return;
		pressure->since_ns = now ? now : 1;
	} else {
		if (now < pressure->counted_ns + usual_ns)
			return;
		if (live + pressure->ended_early < mark)
			pressure->since_ns = 0;
	}
	pressure->counted_ns = now;
	pressure->ended_early = 0;
}

#endif
