// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which processes hold which TCP sockets: an iterator over the open files of all
 * tasks (Linux 5.8; bpf_sock_from_file 5.11). Only sockets that have a cookie: the
 * agent is interested in those whose packets it saw, and the kernel gives a socket
 * its cookie when it is first asked for.
 *
 * A separate object, so that a kernel that refuses it still loads the others.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <tcpwin/socket_owner.h>

/* What is used of the kernel's types; the loader finds where it is in the running kernel. */
#define KERNEL_TYPE __attribute__((preserve_access_index))

struct upid {
	int nr;
} KERNEL_TYPE;

struct pid {
	unsigned int level;
	struct upid numbers[];
} KERNEL_TYPE;

struct task_struct {
	char comm[16];
	struct task_struct *group_leader;
	struct pid *thread_pid;
} KERNEL_TYPE;

struct sock_common {
	struct {
		__s64 counter;
	} skc_cookie;
} KERNEL_TYPE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} KERNEL_TYPE;

struct socket {
	struct sock *sk;
} KERNEL_TYPE;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL_TYPE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
} KERNEL_TYPE;

/* The number of the process in the PID namespace of the reader. */
static __always_inline __u32 pid_of(const struct task_struct *leader)
{
	const struct task_struct *reader = (const struct task_struct *)bpf_get_current_task();
	const struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	unsigned int level = BPF_CORE_READ(reader, thread_pid, level);
	const char *numbers = (const char *)pid + bpf_core_field_offset(pid->numbers);
	const struct upid *number = (const struct upid *)(numbers + level * bpf_core_type_size(struct upid));

	return BPF_CORE_READ(number, nr);
}

SEC("iter/task_file")
int tcpwin_socket_owners(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;

	if (!file || !task)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	const struct sock *sock = socket->sk;
	if (!sock || BPF_CORE_READ(sock, sk_protocol) != IPPROTO_TCP)
		return 0;
	struct tcpwin_socket_owner owner = {.cookie = BPF_CORE_READ(sock, __sk_common.skc_cookie.counter)};
	if (!owner.cookie)
		return 0;
	const struct task_struct *leader = task->group_leader;
	owner.pid = pid_of(leader);
	BPF_CORE_READ_STR_INTO(&owner.command, leader, comm);
	bpf_seq_write(ctx->meta->seq, &owner, sizeof(owner));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
