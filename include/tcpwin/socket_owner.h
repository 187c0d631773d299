/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the iterator of bpf/socket_owners.bpf.c writes.
 */
#ifndef TCPWIN_SOCKET_OWNER_H
#define TCPWIN_SOCKET_OWNER_H

#include "base.h"

#define TCPWIN_COMMAND_LENGTH 16 /* TASK_COMM_LEN, with the zero byte */

TCPWIN_NO_PADDING_BEGIN
/* A process that has a TCP socket open, under any number of descriptors. */
struct tcpwin_socket_owner {
	__u64 cookie; /* of the socket */
	__u32 pid;    /* in the PID namespace of the reader */
	char command[TCPWIN_COMMAND_LENGTH];
	__u32 zero;
};
TCPWIN_NO_PADDING_END

#endif
