/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When a flow ends, and why: decided only here, for the sweep, for packets, for
 * the portable engine and for the reader of maps that an agent left.
 *
 * Pure functions: time and configuration are parameters.
 */
#ifndef TCPWIN_EXPIRY_H
#define TCPWIN_EXPIRY_H

#include "flow_types.h"

/* Whether its last packet terminated it, see TCPWIN_ON_THRESHOLD. */
TCPWIN_INLINE int tcpwin_is_terminated(const struct tcpwin_flow *flow)
{
	return flow->direction[0].timeout == TCPWIN_TIMEOUT_TERMINATED ||
	       flow->direction[1].timeout == TCPWIN_TIMEOUT_TERMINATED;
}

TCPWIN_INLINE int tcpwin_has_open_stall(const struct tcpwin_flow *flow)
{
	return (flow->stalled & TCPWIN_CLOSED_WINDOWS) != 0;
}

/*
 * When the flow ends if no packet comes: the latest of last_ns + timeout over
 * its directions. A closed window may hold it longer.
 */
TCPWIN_INLINE __u64 tcpwin_expires_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 held_ns = tcpwin_has_open_stall(flow) && !tcpwin_is_terminated(flow) ? config->stalled_ns : 0;
	__u64 expires = 0;

	for (int i = 0; i < 2; i++) {
		const struct tcpwin_direction *direction = &flow->direction[i];
		if (!direction->packets)
			continue;
		__u64 timeout_ns = config->timeout_ns[direction->timeout % TCPWIN_TIMEOUT_SLOTS];
		__u64 at = direction->last_ns + (held_ns > timeout_ns ? held_ns : timeout_ns);
		if (at > expires)
			expires = at;
	}
	return expires;
}

/*
 * A lower bound of tcpwin_expires_at, for most flows less than 8 ns below it.
 * Reads one word of the flow, next to the sequence word; tcpwin_expires_at reads
 * three cache lines.
 */
TCPWIN_INLINE __u64 tcpwin_expires_after(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 recent = flow->recent;

	return (recent & ~(__u64)TCPWIN_RECENT_TIMEOUT) + config->timeout_ns[recent & TCPWIN_RECENT_TIMEOUT];
}

TCPWIN_INLINE void tcpwin_note_recent(struct tcpwin_flow *flow, const struct tcpwin_direction *direction)
{
	flow->recent =
		(direction->last_ns & ~(__u64)TCPWIN_RECENT_TIMEOUT) | (direction->timeout & TCPWIN_RECENT_TIMEOUT);
}

/* A time before last_ns is not idle time: expires_at is after last_ns. */
TCPWIN_INLINE int tcpwin_is_expired(const struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 now)
{
	return now >= tcpwin_expires_at(flow, config);
}

/* Which timeout ended an expired flow: that of the direction that expired last. */
TCPWIN_INLINE enum tcpwin_end_reason tcpwin_expiry_reason(const struct tcpwin_flow *flow,
							  const struct tcpwin_config *config)
{
	__u64 expires = tcpwin_expires_at(flow, config);
	int aborted = 0, fin = 0;

	if (tcpwin_is_terminated(flow))
		return TCPWIN_END_TERMINATED;
	for (int i = 0; i < 2; i++) {
		const struct tcpwin_direction *direction = &flow->direction[i];
		__u8 timeout = direction->timeout % TCPWIN_TIMEOUT_SLOTS;
		if (!direction->packets || direction->last_ns + config->timeout_ns[timeout] != expires)
			continue;
		if (timeout != TCPWIN_TIMEOUT_ABRT && timeout != TCPWIN_TIMEOUT_FIN)
			return TCPWIN_END_IDLE_TIMEOUT;
		aborted |= timeout == TCPWIN_TIMEOUT_ABRT;
		fin |= timeout == TCPWIN_TIMEOUT_FIN;
	}
	return fin ? TCPWIN_END_FIN_TIMEOUT : aborted ? TCPWIN_END_ABORT_TIMEOUT : TCPWIN_END_IDLE_TIMEOUT;
}

/* Why a flow ends now. Before its expiry only its interface or the agent can end it. */
TCPWIN_INLINE enum tcpwin_end_reason tcpwin_reason_to_end(const struct tcpwin_flow *flow,
							  const struct tcpwin_config *config, int expired,
							  int interface_gone)
{
	if (expired)
		return tcpwin_expiry_reason(flow, config);
	return interface_gone ? TCPWIN_END_INTERFACE_GONE : TCPWIN_END_SHUTDOWN;
}

/* When an interim record is due; ~0: never. Whole seconds of the clock are precise enough. */
TCPWIN_INLINE __u64 tcpwin_active_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	return config->active_s ? ((__u64)flow->active_since_s + config->active_s) * TCPWIN_NS_PER_S : ~0ULL;
}

/* When a live flow needs attention: its end, or an interim record. */
TCPWIN_INLINE __u64 tcpwin_due_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config)
{
	__u64 expires = tcpwin_expires_at(flow, config), active = tcpwin_active_at(flow, config);

	return active < expires ? active : expires;
}

/* Whether an interim record would contain anything new. */
TCPWIN_INLINE int tcpwin_was_active(const struct tcpwin_flow *flow)
{
	__u64 since = (__u64)flow->active_since_s * TCPWIN_NS_PER_S;

	return flow->direction[0].last_ns >= since || flow->direction[1].last_ns >= since;
}

/* The latest time, in seconds, at which an interim record was due. now: not before tcpwin_active_at. */
TCPWIN_INLINE __u32 tcpwin_active_since(const struct tcpwin_flow *flow, const struct tcpwin_config *config, __u64 now)
{
	__u32 second = (__u32)(now / TCPWIN_NS_PER_S), period = config->active_s;

	return period ? second - (second - flow->active_since_s) % period : second;
}

/*
 * How long after its expiry the entry of an ended flow stays in the table: linger_ns, or longer if a sender still
 * waits for a window. 0: not at all, to make room.
 */
TCPWIN_INLINE __u64 tcpwin_linger(const struct tcpwin_flow *flow, __u64 linger_ns)
{
	if (linger_ns && linger_ns < TCPWIN_CONTINUES_STALLED_NS && tcpwin_has_open_stall(flow))
		return TCPWIN_CONTINUES_STALLED_NS;
	return linger_ns;
}

/* When the entry of an ended flow is removed. */
TCPWIN_INLINE __u64 tcpwin_forgotten_at(const struct tcpwin_flow *flow, const struct tcpwin_config *config,
					__u64 linger_ns)
{
	return linger_ns ? tcpwin_expires_at(flow, config) + tcpwin_linger(flow, linger_ns) : 0;
}

#endif
