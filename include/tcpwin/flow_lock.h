/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sequence word of a flow, tcpwin_flow.seq:
 *
 *     63            32 31             2 1  0
 *     [ hash of key   ][ sequence      ][mark]
 *
 * The meaning of its bits; bpf/ownership.bpf.h describes who changes them when.
 */
#ifndef TCPWIN_FLOW_LOCK_H
#define TCPWIN_FLOW_LOCK_H

#include "base.h"

enum tcpwin_mark {
	TCPWIN_MARK_FREE = 0,  /* a live flow that nobody writes */
	TCPWIN_MARK_BUSY = 1,  /* a packet writes the flow */
	TCPWIN_MARK_ENDED = 2, /* the flow has its record */
	TCPWIN_MARK_DYING = 3, /* and its entry is being deleted */
	TCPWIN_MARK_MASK = 3,
	TCPWIN_SEQ_STEP = 4,
};

TCPWIN_INLINE __u32 tcpwin_mark_of(__u64 seq)
{
	return seq & TCPWIN_MARK_MASK;
}

TCPWIN_INLINE __u32 tcpwin_hash_of(__u64 seq)
{
	return seq >> 32;
}

/* Whether the entry holds a flow that has not ended. */
TCPWIN_INLINE int tcpwin_is_live(__u64 seq)
{
	return tcpwin_mark_of(seq) <= TCPWIN_MARK_BUSY;
}

TCPWIN_INLINE __u64 tcpwin_marked(__u64 seq, enum tcpwin_mark mark)
{
	return (seq & ~(__u64)TCPWIN_MARK_MASK) | mark;
}

/* One step later, and free. The sequence wraps without touching the hash. */
TCPWIN_INLINE __u64 tcpwin_next_seq(__u64 seq)
{
	return (seq & 0xffffffff00000000ULL) | (__u32)(((__u32)seq & ~TCPWIN_MARK_MASK) + TCPWIN_SEQ_STEP);
}

/* Of a new entry, locked. The sequence begins at another number than in an entry of the same key that was deleted. */
TCPWIN_INLINE __u64 tcpwin_busy_seq(__u32 key_hash, __u64 now)
{
	return (__u64)key_hash << 32 | ((__u32)now & ~(__u32)TCPWIN_MARK_MASK) | TCPWIN_MARK_BUSY;
}

#endif
