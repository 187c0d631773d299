// SPDX-License-Identifier: Apache-2.0
#include "handover/attached.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include <bpf/bpf.h>

#include "net/interface.hpp"

namespace tcpwin {
namespace {

// Whoever may not number the programs sees none of their names, and would be told that nothing is attached.
Result<void> may_see_programs(const std::string &what)
{
	__u32 id = 0;
	if (bpf_prog_get_next_id(0, &id) == 0 || errno != EPERM)
		return {};
	return fail(what, describe_errno(EPERM), "run as root, or with CAP_SYS_ADMIN", Exit::no_permission);
}

struct Pinned {
	std::vector<PinnedInterface> here;
	std::vector<PinnedInterface> orphans;
};

// No bpffs: nothing.
Result<Pinned> list_pinned(const std::string &bpffs)
{
	auto directory = PinDirectory::open(bpffs);
	if (!directory && directory.error().exit == Exit::no_permission)
		return tl::unexpected(directory.error());
	return directory ? Pinned{directory->list(), orphans(*directory)} : Pinned{};
}

Attached as_attached(const PinnedInterface &pinned, const std::string &name)
{
	return {.ifindex = pinned.ifindex(), .name = name, .programs = {}, .persistent = true, .pinned = pinned};
}

} // namespace

Result<AttachedMaps> AttachedMaps::open(const Attached &attached)
{
	if (!attached.programs.empty()) {
		auto maps = TRY(RunningMaps::of_program(attached.programs.front().id));
		return AttachedMaps(std::move(maps));
	}
	auto maps = TRY(PinnedLeftovers::open(*attached.pinned));
	return AttachedMaps(std::move(maps));
}

Result<std::vector<Attached>> find_attached(const std::string &bpffs, const std::string &what)
{
	TRY(may_see_programs(what));
	auto all = TRY(list_interfaces());
	auto pinned = TRY(list_pinned(bpffs));
	std::vector<Attached> attached;
	std::set<unsigned> running;
	for (const Interface &interface : all) {
		auto programs = TRY(running_programs(interface));
		if (programs.empty())
			continue;
		running.insert(interface.index);
		const bool persistent = std::ranges::count(pinned.here, interface.index, &PinnedInterface::ifindex);
		attached.push_back({.ifindex = interface.index,
				    .name = interface.name,
				    .programs = std::move(programs),
				    .persistent = persistent,
				    .pinned = {}});
	}
	for (const PinnedInterface &one : pinned.here) {
		const auto found = std::ranges::find(all, one.ifindex(), &Interface::index);
		if (one.is_complete() && !running.contains(one.ifindex()))
			attached.push_back(as_attached(one, found == all.end() ? "" : found->name));
	}
	for (const PinnedInterface &one : pinned.orphans)
		if (one.is_complete())
			attached.push_back(as_attached(one, ""));
	return attached;
}

} // namespace tcpwin
