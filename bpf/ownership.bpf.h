/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may write a flow: the sequence word (tcpwin/flow_lock.h).
 *
 * Several CPUs count packets of one flow, and the sweep ends flows meanwhile.
 * Every flow has one 64-bit word, modified by compare-and-swap only:
 *
 *     packet:  FREE|ENDED --CAS--> BUSY --store--> FREE, sequence + 1
 *     sweep:   FREE  --CAS--> ENDED     the copy in the ring buffer is the flow's record
 *              FREE  --CAS--> FREE, sequence + 1    the copy is consistent, the flow continues
 *              ENDED --CAS--> DYING, then deleted
 *     packet that needs room (evict.bpf.h):
 *              FREE|ENDED --CAS--> DYING, then deleted
 *
 * Whoever made an entry DYING deletes it, and nobody else: its key may be that of
 * another flow in the next moment.
 *
 * A packet runs with softirqs off, so no packet can interrupt the holder of a
 * lock on its own CPU; a packet of another CPU waits for the few dozen
 * instructions between CAS and store. The sweep runs in process context and could
 * be interrupted, so it never locks a flow: it copies, then proves by CAS that
 * nobody wrote meanwhile (the sequence would differ). No packet ever waits for
 * the sweep.
 *
 * Races, and the worst effect of each:
 *  - The table hands a deleted entry to another key while a packet still holds
 *    its pointer. The hash is part of the word, so that packet's CAS cannot
 *    succeed on another key's flow: it looks up again. Entries are inserted BUSY
 *    and released once they are in place, so the CAS cannot succeed while the
 *    table still copies the new value either, not even for its own key. If two
 *    keys with equal hashes (1 in 2^32) meet at that moment, one packet is
 *    counted in the wrong flow.
 *  - A packet meets DYING: the entry is about to be deleted; it looks up again, up
 *    to 256 times, which takes longer than a deletion. If the softirq interrupted
 *    the sweep on the same CPU between its CAS and its delete, or the host of a
 *    virtual machine stopped the sweep there, the entry cannot be deleted in time:
 *    that packet is counted as untracked_contended. Only flows idle for seconds
 *    die, unless the table is full or nearly full.
 *  - The sequence wraps (2^30 packets) between the sweep's read and its CAS: the
 *    sweep would have to be interrupted for minutes.
 */
#ifndef TCPWIN_OWNERSHIP_BPF_H
#define TCPWIN_OWNERSHIP_BPF_H

#include "maps.bpf.h"
#include <tcpwin/flow_lock.h>

#define MAX_TRIES 65536

enum lock_result {
	LOCKED_LIVE,    /* the flow is alive */
	LOCKED_ENDED,   /* the entry is free for a new flow */
	LOCK_GONE,      /* the entry is being deleted or belongs to another key: look up again */
	LOCK_CONTENDED, /* others held the lock throughout */
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

/* Acquire: later reads are not reordered before this load. */
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

/* Returns false if the word was not seq. */
static __always_inline bool swap_seq(struct tcpwin_flow *flow, __u64 seq, __u64 next)
{
	return __sync_val_compare_and_swap(&flow->seq, seq, next) == seq;
}

static __always_inline bool is_free(__u64 seq)
{
	return tcpwin_mark_of(seq) == TCPWIN_MARK_FREE;
}

static __always_inline enum lock_result try_lock_flow(struct tcpwin_flow *flow, __u32 key_hash)
{
	__u64 seq = read_seq(flow);
	__u32 mark = tcpwin_mark_of(seq);

	if (tcpwin_hash_of(seq) != key_hash || mark == TCPWIN_MARK_DYING)
		return LOCK_GONE;
	if (mark == TCPWIN_MARK_BUSY)
		return LOCK_CONTENDED;
	if (!swap_seq(flow, seq, tcpwin_marked(seq, TCPWIN_MARK_BUSY)))
		return LOCK_CONTENDED;
	return mark == TCPWIN_MARK_ENDED ? LOCKED_ENDED : LOCKED_LIVE;
}

static long try_again(__u32 index, struct attempt *attempt)
{
	attempt->result = try_lock_flow(attempt->flow, attempt->key_hash);
	return attempt->result != LOCK_CONTENDED;
}

/*
 * Returns enum lock_result. One CAS without contention; otherwise up to MAX_TRIES more, a few hundred microseconds at
 * worst. Out of line because of its stack.
 */
__attribute__((noinline)) int lock_flow(struct tcpwin_flow *flow, __u32 key_hash)
{
	if (!flow)
		return LOCK_GONE;
	struct attempt attempt = {flow, key_hash, try_lock_flow(flow, key_hash)};

	if (attempt.result == LOCK_CONTENDED)
		bpf_loop(MAX_TRIES, try_again, &attempt, 0);
	return attempt.result;
}

static __always_inline void unlock_as(struct tcpwin_flow *flow, enum tcpwin_mark mark)
{
	__u64 seq = tcpwin_next_seq(read_seq(flow)) | mark;

#ifdef TCPWIN_TOTAL_STORE_ORDER
	__asm__ volatile("" ::: "memory");
	*(volatile __u64 *)&flow->seq = seq;
#else
	__sync_lock_test_and_set(&flow->seq, seq); /* BPF xchg: a full barrier */
#endif
}

/* Only by the holder. Release: the next holder sees what was written before. */
static __always_inline void unlock_flow(struct tcpwin_flow *flow)
{
	unlock_as(flow, TCPWIN_MARK_FREE);
}

/* For whoever made it DYING. Its flow has been recorded or counted. */
static __always_inline bool delete_dying(const struct tcpwin_key *key, struct tcpwin_flow *flow)
{
	if (!bpf_map_delete_elem(&flows, key))
		return true;
	unlock_as(flow, TCPWIN_MARK_ENDED); /* the table's lock was held: the next sweep tries again */
	return false;
}

/* For a holder that leaves an ended entry ended. */
static __always_inline void unlock_ended(struct tcpwin_flow *flow)
{
	unlock_as(flow, TCPWIN_MARK_ENDED);
}

#endif
