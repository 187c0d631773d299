// SPDX-License-Identifier: Apache-2.0
#include "status.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bpf/running.hpp"
#include "names.hpp"
#include "persistence.hpp"
#include "presence.hpp"
#include "record.hpp"

namespace tcpwin {
namespace {

// Of a flow table, which several interfaces may share.
struct Table {
	std::uint32_t id = 0;
	std::uint32_t max_flows = 0;
	std::optional<std::uint64_t> flows;
	std::optional<tcpwin_counters> counters;
	std::map<unsigned, tcpwin_interface> interfaces;
};

struct Row {
	unsigned ifindex = 0;
	std::string name;
	std::vector<RunningProgram> programs; // none: the interface was deleted, or its agent killed while it attached
	bool persistent = false;
	std::string_view no_hooks; // why there are none
	std::optional<pid_t> agent;
	Table table;

	const tcpwin_interface *known() const
	{
		const auto found = table.interfaces.find(ifindex);
		return found == table.interfaces.end() ? nullptr : &found->second;
	}
};

// What cannot be read is missing.
Table read_table(const Leftovers &maps)
{
	Table table{.id = map_id(maps.flows_fd), .max_flows = max_entries(maps.flows_fd), .flows = {}, .counters = {}, .interfaces = {}};
	if (auto flows = read_live_flows(maps))
		table.flows = *flows;
	if (auto counters = read_counters(maps))
		table.counters = *counters;
	if (auto interfaces = read_interfaces(maps))
		table.interfaces = std::move(*interfaces);
	return table;
}

// Whoever may not number the programs sees none of their names, and would be told that nothing is attached.
Result<void> may_see_programs()
{
	__u32 id = 0;
	if (bpf_prog_get_next_id(0, &id) == 0 || errno != EPERM)
		return {};
	return fail("cannot see what is attached", describe_errno(EPERM), "run as root, or with CAP_SYS_ADMIN",
		    Exit::no_permission);
}

// Nothing if no program of ours is there.
Result<std::optional<Row>> running_row(const Interface &interface, bool persistent)
{
	auto programs = running_programs(interface);
	if (!programs)
		return tl::unexpected(programs.error());
	if (programs->empty())
		return std::nullopt;
	auto maps = RunningMaps::of_program(programs->front().id);
	if (!maps)
		return tl::unexpected(maps.error());
	return Row{.ifindex = interface.index,
		   .name = interface.name,
		   .programs = std::move(*programs),
		   .persistent = persistent,
		   .no_hooks = {},
		   .agent = Presence::holder(interface.index),
		   .table = read_table(maps->get())};
}

// name: empty if there is no such interface here.
Result<Row> pinned_row(const PinnedInterface &pinned, const std::string &name)
{
	auto maps = PinnedLeftovers::open(pinned);
	if (!maps)
		return tl::unexpected(maps.error());
	Row row{.ifindex = pinned.ifindex(), .name = name, .programs = {}, .persistent = true, .no_hooks = {}, .agent = {},
		.table = read_table(maps->get())};
	row.no_hooks = !name.empty()	    ? "nothing is attached" :
		       pinned.is_attached() ? "in another network namespace" :
					      "deleted";
	if (name.empty())
		row.name = row.known() ? row.known()->name : "?";
	return row;
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

bool is_asked(const StatusOptions &options, const std::string &name)
{
	return options.interfaces.empty() || std::ranges::count(options.interfaces, name);
}

Result<std::vector<Row>> find_rows(const StatusOptions &options)
{
	auto all = list_interfaces();
	if (!all)
		return tl::unexpected(all.error());
	auto pinned = list_pinned(options.bpffs);
	if (!pinned)
		return tl::unexpected(pinned.error());
	std::vector<Row> rows;
	std::set<unsigned> running;
	for (const Interface &interface : *all) {
		const bool persistent = std::ranges::count(pinned->here, interface.index, &PinnedInterface::ifindex);
		auto row = running_row(interface, persistent);
		if (!row)
			return tl::unexpected(row.error());
		if (!*row)
			continue;
		running.insert(interface.index);
		if (is_asked(options, interface.name))
			rows.push_back(std::move(**row));
	}
	const auto add_pinned = [&](const PinnedInterface &one, const std::string &name) -> Result<void> {
		if (!one.is_complete() || running.contains(one.ifindex()))
			return {};
		auto row = pinned_row(one, name);
		if (!row)
			return tl::unexpected(row.error());
		if (is_asked(options, row->name))
			rows.push_back(std::move(*row));
		return {};
	};
	for (const PinnedInterface &one : pinned->here) {
		const auto found = std::ranges::find(*all, one.ifindex(), &Interface::index);
		if (auto added = add_pinned(one, found == all->end() ? "" : found->name); !added)
			return tl::unexpected(added.error());
	}
	running.clear();
	for (const PinnedInterface &one : pinned->orphans)
		if (auto added = add_pinned(one, ""); !added)
			return tl::unexpected(added.error());
	for (const std::string &name : options.interfaces)
		if (std::ranges::none_of(*all, [&](const Interface &one) { return one.name == name; }) &&
		    std::ranges::none_of(rows, [&](const Row &row) { return row.name == name; }))
			return fail("cannot tell the status of " + name, "there is no such interface", "'ip link' lists them");
	return rows;
}

std::string since(const Row &row)
{
	if (!row.known())
		return "an unknown time";
	return format_time(WallTime(std::chrono::nanoseconds(row.known()->since_ns) + wall_clock_offset()));
}

std::string describe_hooks(const Row &row)
{
	std::vector<std::string> hooks;
	for (const RunningProgram &program : row.programs)
		hooks.push_back(program.hook);
	return hooks.empty() ? std::string(row.no_hooks) : fmt::format("{}", fmt::join(hooks, ", "));
}

std::string describe_agent(const Row &row)
{
	const auto persistent = row.persistent ? "persistent, " : "";
	if (row.agent)
		return fmt::format("{}process {}", persistent, *row.agent);
	return fmt::format("{}no agent runs", persistent);
}

std::string number(const std::optional<std::uint64_t> &value)
{
	return value ? fmt::format("{}", *value) : "?";
}

// Each name of the end report's counters with its value, those that are 0 left out.
std::vector<std::pair<std::string_view, std::uint64_t>> counted(const Table &table)
{
	std::vector<std::pair<std::string_view, std::uint64_t>> all;
	if (!table.counters)
		return all;
	const auto add = [&](const auto &names) {
		for (const CounterName &c : names)
			if (const std::uint64_t value = table.counters->value[c.counter])
				all.emplace_back(c.name, value);
	};
	add(verdict_names);
	add(event_names);
	add(reject_names);
	return all;
}

// Interfaces that share a table are told together.
std::string as_text(const std::vector<Row> &rows)
{
	if (rows.empty())
		return "Nothing is attached.\n";
	std::string text;
	for (auto row = rows.begin(); row != rows.end(); ++row) {
		text += fmt::format("{} (index {}): {}; since {}; {}\n", row->name, row->ifindex, describe_hooks(*row),
				    since(*row), describe_agent(*row));
		if (std::next(row) != rows.end() && std::next(row)->table.id == row->table.id)
			continue;
		text += fmt::format("  flows in the table: {} of {}\n", number(row->table.flows), row->table.max_flows);
		for (const auto &[name, value] : counted(row->table))
			text += fmt::format("  {}: {}\n", name, value);
	}
	return text;
}

template <typename T> nlohmann::ordered_json or_null(const std::optional<T> &value)
{
	return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

std::string as_json(const std::vector<Row> &rows)
{
	std::string text;
	for (const Row &row : rows) {
		nlohmann::ordered_json line;
		line["schema"] = 1;
		line["event"] = "status";
		line["iface"] = row.name;
		line["ifindex"] = row.ifindex;
		line["hooks"] = nlohmann::ordered_json::array();
		for (const RunningProgram &program : row.programs)
			line["hooks"].push_back({{"hook", program.hook}, {"program_id", program.id}});
		line["since"] = row.known() ? nlohmann::ordered_json(since(row)) : nullptr;
		line["persistent"] = row.persistent;
		line["agent_pid"] = or_null(row.agent);
		line["flow_table_id"] = row.table.id;
		line["max_flows"] = row.table.max_flows;
		line["flows"] = or_null(row.table.flows);
		line["counters"] = nlohmann::ordered_json::object();
		for (const auto &[name, value] : counted(row.table))
			line["counters"][std::string(name)] = value;
		text += line.dump() + "\n";
	}
	return text;
}

} // namespace

Result<Exit> status(const StatusOptions &options)
{
	if (auto may = may_see_programs(); !may)
		return tl::unexpected(may.error());
	auto rows = find_rows(options);
	if (!rows)
		return tl::unexpected(rows.error());
	std::ranges::stable_sort(*rows, {}, [](const Row &row) { return row.table.id; });
	const std::string text = options.json ? as_json(*rows) : as_text(*rows);
	if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return Exit::success;
}

} // namespace tcpwin
