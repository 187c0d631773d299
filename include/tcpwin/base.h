/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Definitions for all these headers, which are plain C, for clang -target bpf
 * and for g++ -std=c++20.
 */
#ifndef TCPWIN_BASE_H
#define TCPWIN_BASE_H

#include <linux/types.h>

#ifdef __cplusplus
#define TCPWIN_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define TCPWIN_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define TCPWIN_INLINE static inline __attribute__((always_inline))

/* One function in a BPF object, which the verifier checks once; g++ may inline it. */
#ifdef __bpf__
#define TCPWIN_OUT_OF_LINE __attribute__((noinline))
#else
#define TCPWIN_OUT_OF_LINE static inline
#endif

/*
 * Around structs that are shared: implicit padding is an error, so that two equal
 * values are equal byte for byte. Padding is written as a member "zero".
 */
#define TCPWIN_NO_PADDING_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wpadded\"")
#define TCPWIN_NO_PADDING_END _Pragma("GCC diagnostic pop")

#define TCPWIN_NS_PER_S 1000000000ULL
#define TCPWIN_SECONDS(n) ((n) * TCPWIN_NS_PER_S)

#endif
