/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Protocol headers: the kernel's for BPF, else the C library's, with the same
 * member names; the two cannot be included together.
 */
#ifndef TCPWIN_HEADERS_H
#define TCPWIN_HEADERS_H

#ifdef __bpf__
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#else
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#endif
#include <linux/if_ether.h>
#include <linux/ipv6.h>

#include "base.h"

/* The byte at which a member of a header begins. */
#define TCPWIN_FIELD(header, type, member) ((header) + __builtin_offsetof(struct type, member))

/* Constants that have no name in the UAPI. */
enum {
	TCPWIN_VLAN_TAG = 4,
	TCPWIN_VLAN_ID = 0x0fff,
	TCPWIN_IPV4_OFFSET = 0x1fff, /* of frag_off: fragment offset and more fragments (RFC 791, 3.1) */
	TCPWIN_IPV4_MORE = 0x2000,
	TCPWIN_IPV6_OFFSET = 0xfff8, /* the same of a fragment header (RFC 8200, 4.5) */
	TCPWIN_IPV6_MORE = 0x0001,
	TCPWIN_IPV6_FLOW_LABEL = 0x000fffff, /* of the first 32 bits (RFC 8200, 3) */
	TCPWIN_FRAGMENT_OFFSET = 2,          /* bytes from the beginning of a fragment header */
	TCPWIN_FRAGMENT_ID = 4,
	TCPWIN_OPTION_END = 0,
	TCPWIN_OPTION_NOP = 1,
	TCPWIN_OPTION_WINDOW_SCALE = 3,
	TCPWIN_MAX_WINDOW_SCALE = 14, /* RFC 7323, 2.3 */
	TCPWIN_MAX_TCP_OPTIONS = 40,
};

/* Two bytes of bit-fields in struct tcphdr: data offset and flags. */
#define TCPWIN_TCP_DATA_OFFSET(tcp) TCPWIN_FIELD(tcp, tcphdr, window)[-2]
#define TCPWIN_TCP_FLAGS(tcp) TCPWIN_FIELD(tcp, tcphdr, window)[-1]

TCPWIN_STATIC_ASSERT(sizeof(struct iphdr) == 20 && sizeof(struct ipv6hdr) == 40 && sizeof(struct tcphdr) == 20,
		     "headers without options");

#endif
