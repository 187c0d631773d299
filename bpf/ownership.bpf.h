/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may write a flow: the sequence word.
 *
 * Several CPUs count packets of one flow, and the sweep ends flows meanwhile.
 * Every flow carries one 64-bit word, moved by compare-and-swap alone:
 *
 *     63            32 31             2 1  0
 *     [ fold of key   ][ sequence      ][mark]    mark: FREE BUSY ENDED DYING
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
 *    its pointer. The fold is part of the word, so that packet's CAS cannot
 *    succeed on another key's flow: it looks up again. Entries are inserted
 *    BUSY and released once they are in place, so it cannot get in while the
 *    table still copies the new value either, not even for its own key.
 *    Two keys of equal fold (1 in 2^32) at that moment: one packet is counted
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

enum ownership {
	OWNED_LIVE,  /* the flow is alive */
	OWNED_ENDED, /* the entry is free for a new flow */
	GONE,        /* the entry belongs to nobody or to another key: look up again */
	CONTENDED,   /* others held it all the time */
};

struct attempt {
	struct tcpwin_flow *flow;
	__u32 fold;
	enum ownership result;
};

static __always_inline __u64 read_word(const struct tcpwin_flow *flow)
{
	return *(const volatile __u64 *)&flow->word;
}

/* For who reads the flow after it: no later read may come before. */
static __always_inline __u64 read_word_first(struct tcpwin_flow *flow)
{
#ifdef TCPWIN_TOTAL_STORE_ORDER
	__u64 word = read_word(flow);

	__asm__ volatile("" ::: "memory");
	return word;
#else
	return __sync_fetch_and_add(&flow->word, 0); /* a full barrier */
#endif
}

static __always_inline bool is_free(__u64 word, __u32 fold)
{
	return word >> 32 == fold && (word & MARK_MASK) == MARK_FREE;
}

static __always_inline enum ownership try_to_own(struct tcpwin_flow *flow, __u32 fold)
{
	__u64 word = read_word(flow);
	__u32 mark = word & MARK_MASK;

	if (word >> 32 != fold || mark == MARK_DYING)
		return GONE;
	if (mark == MARK_BUSY)
		return CONTENDED;
	if (__sync_val_compare_and_swap(&flow->word, word, (word & ~(__u64)MARK_MASK) | MARK_BUSY) != word)
		return CONTENDED;
	return mark == MARK_ENDED ? OWNED_ENDED : OWNED_LIVE;
}

static long try_again(__u32 index, struct attempt *attempt)
{
	attempt->result = try_to_own(attempt->flow, attempt->fold);
	return attempt->result != CONTENDED;
}

/* Without contention one CAS; else up to MAX_TRIES more, some hundred microseconds at the worst. */
static __always_inline enum ownership own(struct tcpwin_flow *flow, __u32 fold)
{
	struct attempt attempt = {flow, fold, try_to_own(flow, fold)};

	if (attempt.result == CONTENDED)
		bpf_loop(MAX_TRIES, try_again, &attempt, 0);
	return attempt.result;
}

/* One step later, and free. */
static __always_inline __u64 word_after(__u64 word)
{
	return (word & 0xffffffff00000000ULL) | (__u32)(((__u32)word & ~MARK_MASK) + SEQUENCE_STEP);
}

static __always_inline void release_as(struct tcpwin_flow *flow, __u32 mark)
{
	__u64 word = word_after(read_word(flow)) | mark;

#ifdef TCPWIN_TOTAL_STORE_ORDER
	__asm__ volatile("" ::: "memory");
	*(volatile __u64 *)&flow->word = word;
#else
	__sync_lock_test_and_set(&flow->word, word); /* BPF xchg: a full barrier */
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

static __always_inline __u64 busy_word(__u32 fold)
{
	return (__u64)fold << 32 | MARK_BUSY;
}

#endif
