/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may write a flow: the sequence word.
 *
 * Several CPUs count packets of one flow, and the sweep ends flows meanwhile.
 * Every flow carries one 64-bit word, moved by compare-and-swap alone:
 *
 *     63            32 31             2 1  0
 *     [ hash of key   ][ sequence      ][mark]    mark: FREE BUSY ENDED DYING
 *
 *     packet:  FREE|ENDED --CAS--> BUSY --store--> FREE, sequence + 1
 *     sweep:   FREE  --CAS--> ENDED     the copy in the ring buffer is the flow's end
 *              FREE  --CAS--> FREE, sequence + 1    the copy is whole, the flow goes on
 *              ENDED --CAS--> DYING, then deleted
 *
 * A packet runs with softirqs off, so no packet can interrupt an owner on its
 * own CPU; a packet of another CPU waits for the few dozen instructions between
 * CAS and store. The sweep runs in process context and could be interrupted, so
 * it never owns a flow: it copies and then proves by CAS that nobody wrote
 * meanwhile (the sequence would differ). No packet ever waits for the sweep.
 *
 * Races, and the worst that each can do:
 *  - The table hands a deleted entry to another key while a packet still holds
 *    its pointer. The hash is part of the word, so that packet's CAS cannot
 *    succeed on another key's flow: it looks up again. Entries are inserted
 *    BUSY and released once they are in place, so it cannot get in while the
 *    table still copies the new value either, not even for its own key.
 *    Two keys of equal hash (1 in 2^32) at that moment: one packet is counted
 *    in the wrong flow.
 *  - A packet meets DYING: the entry is about to go; it looks up again, up to 256
 *    times, which is longer than a deletion takes. If the softirq interrupted the
 *    sweep on the same CPU between its CAS and its delete, or the host of a
 *    virtual machine stopped the sweep there, the entry cannot go in time: that
 *    packet is counted as untracked_contended. Only flows idle for seconds die,
 *    unless the table is full.
 *  - The sequence comes round (2^30 packets) between the sweep's read and its
 *    CAS: the sweep would have to be interrupted for minutes.
 */
#ifndef TCPWIN_OWNERSHIP_BPF_H
#define TCPWIN_OWNERSHIP_BPF_H

#include "maps.bpf.h"

enum {
	MARK_FREE = 0,
	MARK_BUSY = 1,
	MARK_ENDED = 2,
	MARK_DYING = 3,
	MARK_MASK = 3,
	SEQUENCE_STEP = 4,
	MAX_TRIES = 65536,
};

enum lock_result {
	LOCKED_LIVE,    /* the flow is alive */
	LOCKED_ENDED,   /* the entry is free for a new flow */
	LOCK_GONE,      /* the entry belongs to nobody or to another key: look up again */
	LOCK_CONTENDED, /* others held it all the time */
};

struct attempt {
	struct tcpwin_flow *flow;
	__u32 key_hash;
	enum lock_result result;
};

static __always_inline __u64 read_seq(const struct tcpwin_flow *flow)
{
	return *(const volatile __u64 *)&flow->seq;
}

/* For who reads the flow after it: no later read may come before. */
static __always_inline __u64 read_seq_acquire(struct tcpwin_flow *flow)
{
#ifdef TCPWIN_TOTAL_STORE_ORDER
	__u64 seq = read_seq(flow);

	__asm__ volatile("" ::: "memory");
	return seq;
#else
	return __sync_fetch_and_add(&flow->seq, 0); /* a full barrier */
#endif
}

static __always_inline bool is_free(__u64 seq, __u32 key_hash)
{
	return seq >> 32 == key_hash && (seq & MARK_MASK) == MARK_FREE;
}

static __always_inline enum lock_result try_lock_flow(struct tcpwin_flow *flow, __u32 key_hash)
{
	__u64 seq = read_seq(flow);
	__u32 mark = seq & MARK_MASK;

	if (seq >> 32 != key_hash || mark == MARK_DYING)
		return LOCK_GONE;
	if (mark == MARK_BUSY)
		return LOCK_CONTENDED;
	if (__sync_val_compare_and_swap(&flow->seq, seq, (seq & ~(__u64)MARK_MASK) | MARK_BUSY) != seq)
		return LOCK_CONTENDED;
	return mark == MARK_ENDED ? LOCKED_ENDED : LOCKED_LIVE;
}

static long try_again(__u32 index, struct attempt *attempt)
{
	attempt->result = try_lock_flow(attempt->flow, attempt->key_hash);
	return attempt->result != LOCK_CONTENDED;
}

/* Without contention one CAS; else up to MAX_TRIES more, some hundred microseconds at the worst. */
static __always_inline enum lock_result lock_flow(struct tcpwin_flow *flow, __u32 key_hash)
{
	struct attempt attempt = {flow, key_hash, try_lock_flow(flow, key_hash)};

	if (attempt.result == LOCK_CONTENDED)
		bpf_loop(MAX_TRIES, try_again, &attempt, 0);
	return attempt.result;
}

/* One step later, and free. */
static __always_inline __u64 next_seq(__u64 seq)
{
	return (seq & 0xffffffff00000000ULL) | (__u32)(((__u32)seq & ~MARK_MASK) + SEQUENCE_STEP);
}

static __always_inline void release_as(struct tcpwin_flow *flow, __u32 mark)
{
	__u64 seq = next_seq(read_seq(flow)) | mark;

#ifdef TCPWIN_TOTAL_STORE_ORDER
	__asm__ volatile("" ::: "memory");
	*(volatile __u64 *)&flow->seq = seq;
#else
	__sync_lock_test_and_set(&flow->seq, seq); /* BPF xchg: a full barrier */
#endif
}

/* Only the owner: what was written before is seen by the next owner. */
static __always_inline void release(struct tcpwin_flow *flow)
{
	release_as(flow, MARK_FREE);
}

/* For an owner that found an ended entry and has no use for it. */
static __always_inline void release_ended(struct tcpwin_flow *flow)
{
	release_as(flow, MARK_ENDED);
}

static __always_inline __u64 busy_seq(__u32 key_hash)
{
	return (__u64)key_hash << 32 | MARK_BUSY;
}

#endif
