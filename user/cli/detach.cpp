// SPDX-License-Identifier: Apache-2.0
#include "cli/detach.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <vector>

#include <bpf/bpf.h>
#include <fmt/format.h>

#include "handover/claim.hpp"
#include "base/clocks.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/object_info.hpp"
#include "bpf/packets_in_flight.hpp"
#include "bpf/tc_filter.hpp"
#include "cli/common_options.hpp"
#include "handover/open_maps.hpp"
#include "handover/persistence.hpp"
#include "net/interface.hpp"
#include "record/report.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {
namespace {

constexpr auto examples =
	R"(Detaches what 'attach --persistent' left attached, and appends the remaining flows to FILE.
Stop an agent that is still running first (kill PID).

Examples:
  # Detach from all interfaces, and write the remaining flows
  sudo tcpwin-agent detach --output flows.json

  # From one of them
  sudo tcpwin-agent detach eth0

Exit codes: 0 done, 1 something is still attached or pinned, 2 wrong usage, 77 no permission.)";

struct Target {
	PinnedInterface pinned;
	std::string name;               // empty: the interface was deleted
	bool elsewhere = false;         // in another network namespace
	std::optional<Claim> held = {}; // while it is being detached
};

std::string describe(const Target &target)
{
	if (!target.name.empty())
		return target.name;
	return fmt::format("interface {}, which was {}", target.pinned.ifindex(),
			   target.elsewhere ? "deleted in another network namespace" :
					      "deleted or moved to another network namespace");
}

std::string name_of(const std::vector<Interface> &all, unsigned ifindex)
{
	const Interface *found = find_interface(all, ifindex);
	return found ? found->name : "";
}

// Error: nothing was left on an interface that was named.
Result<std::vector<Target>> find_targets(const DetachOptions &options, const std::vector<PinnedInterface> &pinned,
					 const std::vector<Interface> &all)
{
	std::vector<Target> targets;
	for (const PinnedInterface &one : pinned) {
		const std::string name = name_of(all, one.ifindex());
		if (options.interfaces.empty() || std::ranges::count(options.interfaces, name))
			targets.push_back({.pinned = one, .name = name, .elsewhere = false});
	}
	for (const std::string &name : options.interfaces)
		if (std::ranges::none_of(targets, [&](const Target &target) { return target.name == name; }))
			return fail("cannot detach from " + name,
				    std::ranges::count(all, name, &Interface::name) ?
					    "no persistent agent has left anything there" :
					    "there is no such interface",
				    "'tcpwin-agent status' shows what is attached");
	return targets;
}

// Claims the interfaces until detach is done, so that no agent starts meanwhile.
Result<void> claim(std::vector<Target> &targets)
{
	std::set<unsigned> claimed; // an interface may have pins of two layouts
	for (Target &target : targets) {
		if (target.name.empty() || !claimed.insert(target.pinned.ifindex()).second)
			continue;
		if (const auto holder = Claim::holder(target.pinned.ifindex()))
			return fail("cannot detach from " + target.name,
				    fmt::format("a tcpwin-agent is watching it (process {})", *holder),
				    fmt::format("stop it first: kill {}", *holder));
		Interface interface;
		interface.index = target.pinned.ifindex();
		interface.name = target.name;
		target.held = TRY(Claim::of_interface(interface));
	}
	return {};
}

void detach_hooks(const Target &target)
{
	for (Direction direction : directions) {
		for (HookKind kind : link_kinds)
			if (const UniqueFd link = target.pinned.open(pin_name(kind, direction)))
				bpf_link_detach(link.get()); // fails if the interface was deleted
		if (!target.name.empty())
			detach_filter(target.pinned.ifindex(), direction);
	}
}

// The remaining flows of one table, after all its interfaces were detached.
Result<void> write_table(const Target &table, const std::vector<Interface> &all, RecordWriters &writers,
			 Signals &signals, Verbosity verbosity)
{
	const auto opened = TRY(OpenMaps::of_pins(table.pinned));
	const AgentMaps maps = opened.get();
	const tcpwin_config config = TRY(read_config(maps));
	auto interfaces = TRY(read_interfaces(maps));
	const tcpwin_counters counters = TRY(read_counters(maps));

	settle(maps, writers.flow_output());
	for (const Interface &interface : all) // which may have been renamed
		if (const auto known = interfaces.find(interface.index); !table.elsewhere && known != interfaces.end())
			*std::copy_n(interface.name.begin(),
				     std::min(interface.name.size(), sizeof(known->second.name) - 1),
				     known->second.name) = '\0';
	const auto wall_offset = wall_clock_offset();
	Result<void> written;
	auto drained = drain_maps(maps, config, boot_clock_ns(), [&](const tcpwin_record &record) {
		const auto interface = interfaces.find(record.flow.ifindex);
		writers.flow(make_flow_record(record, config, wall_offset,
					      interface == interfaces.end() ? "?" : interface->second.name));
		if (auto flushed = writers.flush_if_large(signals); !flushed)
			written = flushed;
	});
	if (auto flushed = writers.flush(signals); !flushed)
		written = flushed;
	if (verbosity != Verbosity::quiet)
		std::fputs(format_report(writers.totals(), counters, config, max_entries(maps.flows_fd)).c_str(),
			   stderr);
	return drained ? written : drained;
}

// One directory per table, for the tables whose directories are all among the targets.
std::vector<Target> tables_to_write(const std::vector<Target> &targets, const std::vector<PinnedInterface> &pinned)
{
	std::vector<Target> all;
	std::set<std::uint32_t> stay;
	const auto is_target = [&](const PinnedInterface &one) {
		return std::ranges::any_of(
			targets, [&](const Target &target) { return target.pinned.directory() == one.directory(); });
	};
	for (const PinnedInterface &one : pinned)
		if (!is_target(one))
			stay.insert(one.table_id());
	for (const Target &target : targets)
		if (target.pinned.is_complete() && stay.insert(target.pinned.table_id()).second)
			all.push_back({.pinned = target.pinned, .name = {}, .elsewhere = target.elsewhere});
	return all;
}

Result<void> write_tables(const std::vector<Target> &tables, const std::vector<Interface> &all,
			  const DetachOptions &options)
{
	if (tables.empty())
		return {};
	auto signals = TRY(Signals::create());
	auto writers = TRY(
		RecordWriters::open({.flows = options.output, .packets = {}, .alarms_only = false, .append = true}));
	for (const Target &table : tables)
		TRY(write_table(table, all, writers, signals, options.verbosity));
	return {};
}

Result<void> remove(const std::vector<Target> &targets)
{
	for (const Target &target : targets) {
		TRY(target.pinned.remove());
		log::info("{} {}", target.name.empty() ? "removed the pins of" : "detached from", describe(target));
	}
	return {};
}

} // namespace

void define_detach(OptionList &list, DetachOptions &options)
{
	list.arguments("IFACE", options.interfaces, "Only these interfaces (default: all)");
	add_flow_output(list, options.output);
	add_bpffs(list, options.bpffs);
	add_verbosity(list, options.verbosity);
	list.footer(examples);
}

Result<Exit> detach(const DetachOptions &options)
{
	log::set_verbosity(options.verbosity);
	auto directory = TRY(PinDirectory::open(options.bpffs));
	auto all = TRY(list_interfaces());
	std::vector<PinnedInterface> pinned = directory.list();
	auto targets = TRY(find_targets(options, pinned, all));
	if (options.interfaces.empty())
		for (const PinnedInterface &one : orphans(directory)) {
			pinned.push_back(one);
			targets.push_back({.pinned = one, .name = {}, .elsewhere = true});
		}
	if (targets.empty()) {
		directory.remove_empty_root(); // of an agent that had no permission to
		log::info("nothing was left attached");
		return Exit::success;
	}
	TRY(claim(targets));
	for (const Target &target : targets)
		detach_hooks(target);
	wait_for_packets_in_flight();
	if (auto written = write_tables(tables_to_write(targets, pinned), all, options); !written) {
		std::string &advice = written.error().advice;
		advice += fmt::format(
			"{}the interfaces are detached, and the flows stay pinned until 'detach' can write them",
			advice.empty() ? "" : "; ");
		return tl::unexpected(written.error());
	}
	TRY(remove(targets));
	return Exit::success;
}

} // namespace tcpwin
