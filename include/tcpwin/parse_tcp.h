/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The TCP header and its window-scale option (RFC 9293, RFC 7323).
 */
#ifndef TCPWIN_PARSE_TCP_H
#define TCPWIN_PARSE_TCP_H

#include "counters.h"
#include "cursor.h"
#include "headers.h"
#include "packet.h"
#include "repeat.h"

struct tcpwin_option_walk {
	const __u8 *options;
	const __u8 *end;
	__u32 length;
	__u32 at;
	__u8 window_scale;
};

/* The capture ends inside the options: the rest may contain the option. */
TCPWIN_INLINE long tcpwin_cut_options(struct tcpwin_option_walk *walk)
{
	if (walk->window_scale == TCPWIN_NO_WINDOW_SCALE)
		walk->window_scale = TCPWIN_UNKNOWN_WINDOW_SCALE;
	return 1;
}

/* Examines one TCP option; 1: the walk is over. */
static inline long tcpwin_step_option(__u32 index, struct tcpwin_option_walk *walk)
{
	__u32 at = walk->at;

	(void)index;
	if (at >= walk->length || at >= TCPWIN_MAX_TCP_OPTIONS)
		return 1;
	const __u8 *option = walk->options + at;
	if (option + 1 > walk->end)
		return tcpwin_cut_options(walk);
	if (option[0] == TCPWIN_OPTION_END)
		return 1;
	if (option[0] == TCPWIN_OPTION_NOP) {
		walk->at = at + 1;
		return 0;
	}
	if (at + 2 > walk->length)
		return 1;
	if (option + 2 > walk->end)
		return tcpwin_cut_options(walk);
	if (option[1] < 2)
		return 1;
	/* The last one wins, as in Linux's tcp_parse_options. */
	if (option[0] == TCPWIN_OPTION_WINDOW_SCALE && option[1] == 3 && at + 3 <= walk->length) {
		if (option + 3 > walk->end)
			return tcpwin_cut_options(walk);
		walk->window_scale = option[2] > TCPWIN_MAX_WINDOW_SCALE ? (__u8)TCPWIN_MAX_WINDOW_SCALE : option[2];
	}
	walk->at = at + option[1];
	return 0;
}

/* The shift of the window-scale option, at most 14, or as in tcpwin_packet. */
TCPWIN_INLINE __u8 tcpwin_find_window_scale(const __u8 *options, const __u8 *end, __u32 length)
{
	struct tcpwin_option_walk walk = {options, end, length, 0, TCPWIN_NO_WINDOW_SCALE};

	TCPWIN_REPEAT(TCPWIN_MAX_TCP_OPTIONS, tcpwin_step_option, &walk);
	return walk.window_scale;
}

TCPWIN_INLINE enum tcpwin_reject tcpwin_parse_tcp(const struct tcpwin_cursor *cursor, struct tcpwin_packet *packet)
{
	const __u8 *tcp = cursor->pos;
	__u32 ip_left = cursor->left;

	if (ip_left < sizeof(struct tcphdr))
		return TCPWIN_REJECT_IP_LENGTH;
	if (tcp + sizeof(struct tcphdr) > cursor->end)
		return TCPWIN_REJECT_TCP_TRUNCATED;

	__u32 header = (TCPWIN_TCP_DATA_OFFSET(tcp) >> 4) * 4;
	if (header < sizeof(struct tcphdr))
		return TCPWIN_REJECT_TCP_DATA_OFFSET;

	packet->header_bytes += header;
	packet->source_port = tcpwin_be16(TCPWIN_FIELD(tcp, tcphdr, source));
	packet->destination_port = tcpwin_be16(TCPWIN_FIELD(tcp, tcphdr, dest));
	packet->tcp_flags = TCPWIN_TCP_FLAGS(tcp);
	packet->window = tcpwin_be16(TCPWIN_FIELD(tcp, tcphdr, window));
	packet->checksum = tcpwin_be16(TCPWIN_FIELD(tcp, tcphdr, check));
	packet->sequence = tcpwin_be32(TCPWIN_FIELD(tcp, tcphdr, seq));
	packet->ack = tcpwin_be32(TCPWIN_FIELD(tcp, tcphdr, ack_seq));
	packet->payload = packet->bytes > packet->header_bytes ? packet->bytes - packet->header_bytes : 0;
	packet->window_scale = TCPWIN_NO_WINDOW_SCALE;
	if (packet->tcp_flags & TCPWIN_FLAG_SYN) {
		__u32 bound = header < ip_left ? header : ip_left;
		packet->window_scale = tcpwin_find_window_scale(tcp + sizeof(struct tcphdr), cursor->end,
								bound - sizeof(struct tcphdr));
	}
	return TCPWIN_ACCEPTED;
}

#endif
