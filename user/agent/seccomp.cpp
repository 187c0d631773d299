// SPDX-License-Identifier: Apache-2.0
#include "agent/seccomp.hpp"

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tcpwin {
namespace {

// The list of allowed system calls; keeps the first error.
class Filter {
public:
	Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {}

	void allow(std::initializer_list<int> calls)
	{
		for (int call : calls)
			allow_if(call, {});
	}
	// Allows the call if all conditions hold.
	void allow_if(int call, const std::vector<scmp_arg_cmp> &conditions)
	{
		note(seccomp_rule_add_array(context_.get(), SCMP_ACT_ALLOW, call,
					    static_cast<unsigned>(conditions.size()), conditions.data()));
	}
	void allow_bpf(std::initializer_list<bpf_cmd> commands);
	Result<void> load();

private:
	void note(int error) { error_ = error_ ? error_ : error; }

	std::unique_ptr<void, decltype(&seccomp_release)> context_;
	int error_ = 0;
};

// A 32-bit argument; the upper half of its register may hold anything.
scmp_arg_cmp argument(unsigned number, std::uint32_t value)
{
	return {number, SCMP_CMP_MASKED_EQ, UINT32_MAX, value};
}

scmp_arg_cmp argument_without(unsigned number, std::uint32_t bits)
{
	return {number, SCMP_CMP_MASKED_EQ, bits, 0};
}

void Filter::allow_bpf(std::initializer_list<bpf_cmd> commands)
{
	for (bpf_cmd command : commands)
		allow_if(SCMP_SYS(bpf), {argument(0, command)});
}

Result<void> Filter::load()
{
	if (!context_)
		return fail("seccomp", describe_errno(ENOMEM));
	note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1)); // all threads
	if (!error_)
		note(seccomp_load(context_.get()));
	if (error_)
		return fail("seccomp", describe_errno(error_));
	return {};
}

// What malloc() needs; no memory becomes executable.
void allow_memory(Filter &filter)
{
	filter.allow({SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex)});
	filter.allow_if(SCMP_SYS(mmap), {argument_without(2, PROT_EXEC)});
	filter.allow_if(SCMP_SYS(mprotect), {argument_without(2, PROT_EXEC)});
}

// Waiting, reading open descriptors, writing records, and what the C library needs.
void allow_watching(Filter &filter)
{
	filter.allow({SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait)});
	filter.allow({SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(close)});
	filter.allow({SCMP_SYS(fstat)});
	filter.allow_if(SCMP_SYS(newfstatat), {argument(3, AT_EMPTY_PATH)});
	filter.allow_if(SCMP_SYS(ioctl), {argument(1, TCGETS)});
	filter.allow({SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(membarrier)});
	allow_memory(filter);
	filter.allow({SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn)});
	filter.allow({SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)});
	filter.allow({SCMP_SYS(getpid), SCMP_SYS(gettid)});
	filter.allow_if(SCMP_SYS(tgkill), {argument(0, static_cast<std::uint32_t>(getpid()))}); // abort()
	filter.allow_bpf({BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
			  BPF_MAP_LOOKUP_BATCH, BPF_PROG_TEST_RUN, BPF_OBJ_GET_INFO_BY_FD});
}

// Which processes own a socket: an iterator of a link that is already open.
void allow_attribution(Filter &filter)
{
	filter.allow_bpf({BPF_ITER_CREATE});
}

// Netlink sockets that are already open.
void allow_open_sockets(Filter &filter)
{
	filter.allow({SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg)});
}

// Each request opens a socket.
void allow_netlink(Filter &filter)
{
	filter.allow_if(SCMP_SYS(socket), {argument(0, AF_NETLINK)});
	filter.allow({SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(setsockopt)});
}

// Claim locks a byte of an open file, and listens on a socket, or connects to identify the process that already listens.
void allow_claims(Filter &filter)
{
	for (const int command : {F_SETLK, F_GETLK})
		filter.allow_if(SCMP_SYS(fcntl), {argument(1, static_cast<std::uint32_t>(command))});
	filter.allow_if(SCMP_SYS(socket), {argument(0, AF_UNIX)});
	filter.allow({SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(connect)});
	filter.allow_if(SCMP_SYS(getsockopt), {argument(1, SOL_SOCKET), argument(2, SO_PEERCRED)});
}

void allow_attaching(Filter &filter)
{
	allow_netlink(filter);
	allow_claims(filter);
	filter.allow_bpf({BPF_LINK_CREATE, BPF_PROG_QUERY});
	filter.allow_if(SCMP_SYS(ioctl), {argument(1, SIOCETHTOOL)});
}

void allow_pinning(Filter &filter)
{
	filter.allow_bpf({BPF_OBJ_PIN, BPF_OBJ_GET, BPF_LINK_UPDATE});
	filter.allow({SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat)});
	filter.allow({SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2)});
	filter.allow({SCMP_SYS(openat), SCMP_SYS(fcntl), SCMP_SYS(getdents64)});
	filter.allow({SCMP_SYS(statx), SCMP_SYS(newfstatat), SCMP_SYS(statfs), SCMP_SYS(fstatfs)});
}

} // namespace

Result<void> install_seccomp_filter(const Needs &needs)
{
	Filter filter;
	allow_watching(filter);
	allow_open_sockets(filter);
	if (needs.attribute)
		allow_attribution(filter);
	if (needs.attach_more)
		allow_attaching(filter);
	if (needs.attach_again)
		filter.allow_bpf({BPF_LINK_CREATE});
	if (needs.change_filters)
		allow_netlink(filter);
	if (needs.detach_links)
		filter.allow_bpf({BPF_LINK_DETACH});
	if (!needs.pin_below.empty())
		allow_pinning(filter);
	return filter.load();
}

Result<void> install_seccomp_filter_of_reopen_helper()
{
	Filter filter;
	filter.allow({SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg)});
	filter.allow_if(SCMP_SYS(newfstatat), {argument(3, AT_EMPTY_PATH)});
	filter.allow({SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)});
	return filter.load();
}

Result<void> install_seccomp_filter_of_cgroup_helper()
{
	Filter filter;
	filter.allow(
		{SCMP_SYS(openat), SCMP_SYS(getdents64), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fstatfs)});
	filter.allow({SCMP_SYS(fcntl), SCMP_SYS(close), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(clock_gettime)});
	allow_memory(filter);
	filter.allow({SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)});
	return filter.load();
}

} // namespace tcpwin
