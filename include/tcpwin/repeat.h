/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TCPWIN_REPEAT_H
#define TCPWIN_REPEAT_H

/*
 * Calls step(index, context) until it returns non-zero, at most count times. The
 * BPF programs define it as bpf_loop: unrolled, a walk over TCP options or
 * IPv6 extension headers costs the verifier up to a million instructions.
 */
#ifndef TCPWIN_REPEAT
#define TCPWIN_REPEAT(count, step, context)                        \
	do {                                                       \
		for (__u32 index_ = 0; index_ < (count); index_++) \
			if (step(index_, context))                 \
				break;                             \
	} while (0)
#endif

#endif
