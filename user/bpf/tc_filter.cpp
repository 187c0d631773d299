// SPDX-License-Identifier: Apache-2.0
#include "bpf/tc_filter.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>

#include "bpf/object_info.hpp"
#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"
#include "net/qdisc.hpp"

namespace tcpwin {
namespace {

// Other software uses the first ones.
constexpr std::uint32_t first_handle = 0x7463, last_handle = 0x7472;

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

bool is_agents(const TcFilter &filter)
{
	return is_ours(filter.program.name) && filter.handle >= first_handle && filter.handle <= last_handle;
}

bool removed(bpf_tc_hook hook, const TcFilter &filter)
{
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filter.handle, .priority = filter.priority);
	return bpf_tc_detach(&hook, &options) == 0;
}

// Whether no other filter runs before this one, except those that the agent's cannot precede.
bool is_first(const std::vector<TcFilter> &filters, std::vector<TcFilter>::const_iterator own)
{
	const auto overtakes = [&](const TcFilter &other) { return other.priority == own->priority; };
	return own->priority <= best_priority(filters) && std::none_of(filters.begin(), own, overtakes);
}

// A new filter runs before those of the same priority.
int attach_first(bpf_tc_hook hook, const std::vector<TcFilter> &filters, int program_fd)
{
	int error = -EEXIST;
	for (std::uint32_t handle = first_handle; handle <= last_handle && error == -EEXIST; handle++) {
		LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .handle = handle,
			    .priority = best_priority(filters));
		error = bpf_tc_attach(&hook, &options);
	}
	return error;
}

int attach_program(bpf_tc_hook hook, const std::vector<TcFilter> &filters, int program_fd)
{
	if (std::ranges::count_if(filters, is_agents) == 1) {
		const auto own = std::ranges::find_if(filters, is_agents);
		if (is_first(filters, own)) {
			LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE,
				    .handle = own->handle, .priority = own->priority);
			return bpf_tc_attach(&hook, &options);
		}
	}
	for (const TcFilter &filter : filters)
		if (is_agents(filter))
			removed(hook, filter);
	return attach_first(hook, filters, program_fd);
}

} // namespace

unsigned best_priority(const std::vector<TcFilter> &filters)
{
	unsigned priority = 1;
	for (const TcFilter &filter : filters)
		if (filter.priority == priority && (filter.kind != "bpf" || filter.protocol != ETH_P_ALL))
			priority++;
	return priority;
}

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
	const auto filters = TRY(tc_filters(interface.index, direction));
	if (int refused = attach_program(hook, filters, program_fd))
		return attach_error(interface, HookKind::clsact, refused);
	return {};
}

Result<HookPlace> find_filter(unsigned ifindex, Direction direction, int program_fd)
{
	const auto id = object_info<bpf_prog_info>(program_fd).value_or(bpf_prog_info{}).id;
	const auto filters = TRY(tc_filters(ifindex, direction));
	const auto found = std::ranges::find(filters, id, [](const TcFilter &filter) { return filter.program.id; });
	if (found == filters.end())
		return HookPlace::detached;
	return is_first(filters, found) ? HookPlace::first : HookPlace::behind;
}

bool detach_filter(unsigned ifindex, Direction direction)
{
	const auto filters = tc_filters(ifindex, direction);
	bool any = false;
	if (filters)
		for (const TcFilter &filter : *filters)
			any |= is_agents(filter) && removed(make_hook(ifindex, direction), filter);
	if (!any)
		return false;
	for (const Direction each : directions) {
		const auto left = tc_filters(ifindex, each);
		if (!left || !left->empty())
			return true;
	}
	bpf_tc_hook both = make_hook(ifindex, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
	bpf_tc_hook_destroy(&both);
	return true;
}

} // namespace tcpwin
