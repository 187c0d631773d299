/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a frame: fields in network order, and the position of the parser.
 */
#ifndef TCPWIN_CURSOR_H
#define TCPWIN_CURSOR_H

#include "base.h"

/*
 * What is still to be parsed. pos..end was captured. left is the number of bytes
 * from pos to the end of the frame on the wire or, from the IP header on, to the
 * end of the IP packet by its length. This distinguishes a truncated frame from
 * an IP length that is too small.
 */
struct tcpwin_cursor {
	const __u8 *pos;
	const __u8 *end;
	__u32 left;
};

/* A 16-bit field in network order at any alignment. */
TCPWIN_INLINE __u16 tcpwin_be16(const __u8 *at)
{
#ifdef __bpf__
	/* One load; the byte-wise load that clang makes of the portable form costs three instructions more. */
	return __builtin_bswap16(*(const __u16 *)at);
#else
	return (__u16)(at[0] << 8 | at[1]);
#endif
}

TCPWIN_INLINE __u32 tcpwin_be32(const __u8 *at)
{
#ifdef __bpf__
	return __builtin_bswap32(*(const __u32 *)at);
#else
	return (__u32)tcpwin_be16(at) << 16 | tcpwin_be16(at + 2);
#endif
}

/* Skips n captured bytes. */
TCPWIN_INLINE void tcpwin_advance(struct tcpwin_cursor *cursor, __u32 n)
{
	cursor->pos += n;
	cursor->left = cursor->left > n ? cursor->left - n : 0;
}

#endif
