// SPDX-License-Identifier: Apache-2.0
#include "handover/deployment.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "bpf/program_name.hpp"
#include "handover/claim.hpp"
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
	return {.ifindex = pinned.ifindex(),
		.name = name,
		.programs = {},
		.persistent = true,
		.pinned = pinned,
		.detached_program = 0};
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
				       .pinned = {},
				       .detached_program = 0});
	}
	return deployments;
}

// The id of a program that the agent has loaded; 0: none, or the process is in another PID namespace.
unsigned program_of_process(pid_t process)
{
	std::error_code ignored; // the process may end
	const std::filesystem::path directory = fmt::format("/proc/{}/fdinfo", process);
	for (std::filesystem::directory_iterator next(directory, ignored), end; next != end; next.increment(ignored)) {
		std::ifstream file(next->path());
		for (std::string name; file >> name;)
			if (unsigned id = 0; name == "prog_id:" && file >> id && is_ours(program_name(id)))
				return id;
		if (ignored)
			break;
	}
	return 0;
}

// Of running agents whose programs other software has detached.
std::vector<Deployment> without_hooks(const std::vector<Interface> &interfaces, const std::set<unsigned> &known)
{
	std::vector<Deployment> deployments;
	for (const Interface &interface : interfaces) {
		const auto agent = known.contains(interface.index) ? std::nullopt : Claim::holder(interface.index);
		if (const unsigned program = agent ? program_of_process(*agent) : 0)
			deployments.push_back({.ifindex = interface.index,
					       .name = interface.name,
					       .programs = {},
					       .persistent = false,
					       .pinned = {},
					       .detached_program = program});
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
	for (const Deployment &deployment : deployments)
		attached.insert(deployment.ifindex);
	std::ranges::move(without_hooks(interfaces, attached), std::back_inserter(deployments));
	return deployments;
}

} // namespace tcpwin
