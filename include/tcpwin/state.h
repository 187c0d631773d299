/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state machine of Tranalyzer2's tcpWinTMT.
 */
#ifndef TCPWIN_STATE_H
#define TCPWIN_STATE_H

#include "alarm.h"
#include "packet.h"

TCPWIN_INLINE int tcpwin_counts_window(const struct tcpwin_packet *packet, const struct tcpwin_config *config)
{
	return packet->window < config->window_threshold &&
	       !((config->rules & TCPWIN_RULE_SKIP_SYN_RST_WINDOWS) &&
		 (packet->tcp_flags & (TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST)));
}

/* closing: FIN and RST, as in tcpwin_step. */
TCPWIN_INLINE void tcpwin_close(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
				const struct tcpwin_config *config, __u8 closing)
{
	direction->state = TCPWIN_STATE_ABRT;
	direction->timeout = TCPWIN_TIMEOUT_EST;
	if (!(config->rules & TCPWIN_RULE_FIN_TIMEOUT))
		return;
	direction->timeout = TCPWIN_TIMEOUT_FIN;
	if ((closing & TCPWIN_FLAG_RST) && reverse->packets) {
		reverse->state = TCPWIN_STATE_ABRT;
		reverse->timeout = TCPWIN_TIMEOUT_FIN;
	}
}

TCPWIN_INLINE void tcpwin_reach_abort_count(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
					    const struct tcpwin_config *config)
{
	__u8 timeout =
		config->on_threshold == TCPWIN_ON_THRESHOLD_TERMINATE ? TCPWIN_TIMEOUT_TERMINATED : TCPWIN_TIMEOUT_ABRT;

	if (!(direction->alarms & TCPWIN_ALARM_ABORT_COUNT))
		tcpwin_raise(direction, TCPWIN_ALARM_ABORT_COUNT, config->rules & TCPWIN_RULE_ABORT_ALARM);
	if (config->on_threshold == TCPWIN_ON_THRESHOLD_COUNT)
		return;
	direction->stat |= TCPWIN_STAT_ABORTED;
	direction->state = TCPWIN_STATE_ABRT;
	direction->timeout = timeout;
	if (reverse->packets) {
		reverse->state = TCPWIN_STATE_ABRT;
		reverse->timeout = timeout;
	}
}

/*
 * One step of the state machine for the direction that sent the packet. If reverse has no packets it does not exist
 * yet and stays unchanged. closing: FIN and RST of this packet, 0 where the receiver ignores it; by the tutorial, all
 * those of earlier packets count as well.
 */
TCPWIN_INLINE void tcpwin_step(struct tcpwin_direction *direction, struct tcpwin_direction *reverse,
			       const struct tcpwin_packet *packet, const struct tcpwin_config *config, __u8 closing)
{
	if (tcpwin_counts_window(packet, config)) {
		direction->zero_window_count += packet->segments;
		direction->stat |= TCPWIN_STAT_BELOW_THRESHOLD;
	}
	direction->stat |= packet->tcp_flags & TCPWIN_STAT_FLAGS;
	closing &= TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST;
	if (!(config->rules & TCPWIN_RULE_FIN_TIMEOUT))
		closing = direction->stat & (TCPWIN_FLAG_FIN | TCPWIN_FLAG_RST);

	switch (direction->state) {
	case TCPWIN_STATE_NEW:
		if (direction->stat & TCPWIN_FLAG_SYN) {
			direction->timeout = TCPWIN_TIMEOUT_BGN;
			direction->state = TCPWIN_STATE_BGN;
			return;
		}
		if (!(direction->stat & TCPWIN_FLAG_ACK))
			return;
		direction->state = TCPWIN_STATE_EST;
		/* fall through */
	case TCPWIN_STATE_BGN: /* by the tutorial, the state stays BGN until it is ABRT, if ever */
		if (config->rules & TCPWIN_RULE_PROMOTE_ESTABLISHED)
			direction->state = TCPWIN_STATE_EST;
		direction->timeout = TCPWIN_TIMEOUT_EST;
		/* fall through */
	case TCPWIN_STATE_EST:
		if (closing)
			tcpwin_close(direction, reverse, config, closing);
		else if (direction->zero_window_count >= config->abort_count)
			tcpwin_reach_abort_count(direction, reverse, config);
		return;
	default: /* ABRT */
		if ((config->rules & TCPWIN_RULE_FIN_TIMEOUT) && (closing & TCPWIN_FLAG_RST) &&
		    direction->timeout != TCPWIN_TIMEOUT_TERMINATED)
			tcpwin_close(direction, reverse, config, closing);
		else if (direction->timeout != TCPWIN_TIMEOUT_FIN && direction->timeout != TCPWIN_TIMEOUT_TERMINATED)
			direction->timeout = TCPWIN_TIMEOUT_ABRT;
	}
}

#endif
