// SPDX-License-Identifier: Apache-2.0
#include "bpf/tc_filter.hpp"

#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>

#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"
#include "net/netlink.hpp"
#include "net/qdisc.hpp"

namespace tcpwin {
namespace {

constexpr __u32 filter_handle = 0x7463;
constexpr __u32 filter_priority = 0xc0de;

bpf_tc_hook make_hook(unsigned ifindex, bpf_tc_attach_point point)
{
	bpf_tc_hook hook{};
	hook.sz = sizeof(hook);
	hook.ifindex = static_cast<int>(ifindex);
	hook.attach_point = point;
	return hook;
}

bpf_tc_hook make_hook(unsigned ifindex, Direction direction)
{
	return make_hook(ifindex, direction == Direction::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
}

// All filters in one direction of the clsact qdisc; -1: unknown.
int count_filters(unsigned ifindex, Direction direction)
{
	tcmsg request{};
	request.tcm_ifindex = static_cast<int>(ifindex);
	request.tcm_parent =
		TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	const auto socket = open_netlink(NETLINK_ROUTE);
	int count = 0;
	if (!socket || nl_send_simple(socket->get(), RTM_GETTFILTER, NLM_F_DUMP, &request, sizeof(request)) < 0 ||
	    receive_answer(socket->get(), [&](nlmsghdr *) { count++; }) != 0)
		return -1;
	return count;
}

// The id of the program at the agent's priority and handle; 0: none.
__u32 program_in_place(const bpf_tc_hook &hook)
{
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = filter_handle, .priority = filter_priority);
	return bpf_tc_query(&hook, &query) == 0 ? query.prog_id : 0;
}

std::string describe(__u32 id)
{
	const std::string name = program_name(id);
	return name.empty() ? fmt::format("with id {} (tc)", id) : fmt::format("'{}' (id {}, tc)", name, id);
}

} // namespace

Result<void> attach_filter(const Interface &interface, Direction direction, int program_fd)
{
	bpf_tc_hook hook = make_hook(interface.index, direction);
	const int error = bpf_tc_hook_create(&hook);
	if (error && error != -EEXIST)
		return attach_error(interface, HookKind::clsact, error);
	// The kernel would take the filter all the same, and run it on no packet or on those of the other direction.
	if (error == -EEXIST && ingress_qdisc(interface.index) == "ingress")
		return fail("cannot attach to " + interface.name, "its qdisc 'ingress' is in the place of clsact",
			    "replace it by clsact (tc qdisc), use TCX (Linux 6.6), or watch incoming packets only, by "
			    "XDP (--direction ingress)");
	if (const __u32 id = program_in_place(hook); id && !is_ours(clsact_program_name(interface.index, id)))
		return fail("cannot attach to " + interface.name,
			    "its clsact qdisc has another program at the agent's priority and handle: " + describe(id),
			    "use TCX (Linux 6.6), or move that filter to another priority");
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE, .handle = filter_handle,
		    .priority = filter_priority);
	if (int refused = bpf_tc_attach(&hook, &options))
		return attach_error(interface, HookKind::clsact, refused);
	return {};
}

void detach_filter(unsigned ifindex, Direction direction)
{
	const bpf_tc_hook hook = make_hook(ifindex, direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filter_handle, .priority = filter_priority);
	if (bpf_tc_detach(&hook, &options) != 0)
		return;
	if (count_filters(ifindex, Direction::ingress) != 0 || count_filters(ifindex, Direction::egress) != 0)
		return;
	bpf_tc_hook both = make_hook(ifindex, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
	bpf_tc_hook_destroy(&both);
}

bool remove_stale_filter(unsigned ifindex, Direction direction)
{
	const __u32 id = program_in_place(make_hook(ifindex, direction));
	if (!id || !is_ours(clsact_program_name(ifindex, id)))
		return false;
	detach_filter(ifindex, direction);
	return true;
}

} // namespace tcpwin
