// SPDX-License-Identifier: Apache-2.0
#include "handover/deployment.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include <bpf/bpf.h>

#include "handover/persistence.hpp"
#include "net/interface.hpp"

namespace tcpwin {
namespace {

// Without permission to enumerate programs, their names cannot be read, and the result would be "nothing attached".
Result<void> require_program_access(const std::string &what)
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

// Empty without a bpffs.
Result<Pinned> list_pinned(const std::string &bpffs)
{
	auto directory = PinDirectory::open(bpffs);
	if (!directory && directory.error().exit == Exit::no_permission)
		return tl::unexpected(directory.error());
	return directory ? Pinned{directory->list(), orphans(*directory)} : Pinned{};
}

Deployment without_programs(const PinnedInterface &pinned, const std::string &name)
{
	return {.ifindex = pinned.ifindex(), .name = name, .programs = {}, .persistent = true, .pinned = pinned};
}

Result<std::vector<Deployment>> with_programs(const std::vector<Interface> &interfaces,
					      const std::vector<PinnedInterface> &pinned)
{
	std::vector<Deployment> deployments;
	for (const Interface &interface : interfaces) {
		auto programs = TRY(attached_programs(interface));
		if (programs.empty())
			continue;
		const bool persistent = std::ranges::count(pinned, interface.index, &PinnedInterface::ifindex);
		deployments.push_back({.ifindex = interface.index,
				       .name = interface.name,
				       .programs = std::move(programs),
				       .persistent = persistent,
				       .pinned = {}});
	}
	return deployments;
}

} // namespace

Result<std::vector<Deployment>> find_deployments(const std::string &bpffs, const std::string &what)
{
	TRY(require_program_access(what));
	const auto interfaces = TRY(list_interfaces());
	const auto pinned = TRY(list_pinned(bpffs));
	auto deployments = TRY(with_programs(interfaces, pinned.here));
	std::set<unsigned> attached;
	for (const Deployment &deployment : deployments)
		attached.insert(deployment.ifindex);
	for (const PinnedInterface &one : pinned.here) {
		const auto found = std::ranges::find(interfaces, one.ifindex(), &Interface::index);
		if (one.is_complete() && !attached.contains(one.ifindex()))
			deployments.push_back(without_programs(one, found == interfaces.end() ? "" : found->name));
	}
	for (const PinnedInterface &one : pinned.orphans)
		if (one.is_complete())
			deployments.push_back(without_programs(one, ""));
	return deployments;
}

} // namespace tcpwin
