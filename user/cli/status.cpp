// SPDX-License-Identifier: Apache-2.0
#include "cli/status.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <net/if.h>

#include "handover/claim.hpp"
#include "base/clocks.hpp"
#include "base/printable.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/object_info.hpp"
#include "cli/common_options.hpp"
#include "handover/deployment.hpp"
#include "record/names.hpp"
#include "record/record.hpp"
#include "sinks/json.hpp"

namespace tcpwin {
namespace {

constexpr auto examples = R"(Examples:
  # What is attached in this network namespace, by running agents or left by earlier ones
  sudo tcpwin-agent status

  # One interface, for programs: one JSON object per interface
  sudo tcpwin-agent status --json eth0

Exit codes: 0 done, 1 something cannot be read, 2 wrong usage, 77 no permission.)";

// A flow table, which several interfaces may share.
struct Table {
	std::uint32_t id = 0;
	std::uint32_t max_flows = 0;
	std::optional<std::uint64_t> flows;
	std::optional<bool> pressure;
	std::optional<tcpwin_counters> counters;
	std::map<unsigned, tcpwin_interface> interfaces;
};

struct Row {
	unsigned ifindex = 0;
	std::string name;
	std::vector<AttachedProgram> programs; // empty: the interface was deleted, or the agent killed while attaching
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

// Fields that cannot be read stay empty.
Table read_table(const AgentMaps &maps)
{
	Table table{.id = map_id(maps.flows_fd),
		    .max_flows = max_entries(maps.flows_fd),
		    .flows = {},
		    .pressure = {},
		    .counters = {},
		    .interfaces = {}};
	if (auto flows = read_live_flows(maps))
		table.flows = *flows;
	if (auto pressure = read_pressure(maps))
		table.pressure = pressure->since_ns != 0;
	if (auto counters = read_counters(maps))
		table.counters = *counters;
	if (auto interfaces = read_interfaces(maps))
		table.interfaces = std::move(*interfaces);
	return table;
}

Result<Row> make_row(const Deployment &deployment)
{
	const auto maps = TRY(OpenMaps::of_deployment(deployment));
	Row row{.ifindex = deployment.ifindex,
		.name = deployment.name,
		.programs = deployment.programs,
		.persistent = deployment.persistent,
		.no_hooks = {},
		.agent = {},
		.table = read_table(maps.get())};
	if (!deployment.pinned)
		row.agent = Claim::holder(deployment.ifindex);
	if (deployment.detached_program)
		row.no_hooks = "its programs are detached";
	else if (deployment.pinned)
		row.no_hooks = !deployment.name.empty()         ? "nothing is attached" :
			       deployment.pinned->is_attached() ? "in another network namespace" :
								  "deleted";
	if (row.name.empty())
		row.name = row.known() ? row.known()->name : "?";
	return row;
}

bool is_asked(const StatusOptions &options, const std::string &name)
{
	return options.interfaces.empty() || std::ranges::count(options.interfaces, name);
}

Result<std::vector<Row>> find_rows(const StatusOptions &options)
{
	// The default need not be mounted: without it, nothing is persistent.
	if (options.bpffs != default_bpffs)
		TRY(PinDirectory::open(options.bpffs));
	auto all = TRY(find_deployments(options.bpffs, "cannot see what is attached"));
	std::vector<Row> rows;
	for (const Deployment &deployment : all) {
		auto row = TRY(make_row(deployment));
		if (is_asked(options, row.name))
			rows.push_back(std::move(row));
	}
	for (const std::string &name : options.interfaces)
		if (!if_nametoindex(name.c_str()) &&
		    std::ranges::none_of(rows, [&](const Row &row) { return row.name == name; }))
			return fail("cannot show the status of " + name, "there is no such interface",
				    "'ip link' lists them");
	return rows;
}

// The offset varies by some nanoseconds from call to call, because the clocks are read in turn.
std::optional<WallTime> since(const Row &row)
{
	if (!row.known())
		return std::nullopt;
	const WallTime exact(std::chrono::nanoseconds(row.known()->since_ns) + wall_clock_offset());
	return std::chrono::round<std::chrono::milliseconds>(exact);
}

std::string describe_since(const Row &row)
{
	const auto time = since(row);
	return time ? format_time(*time) : "an unknown time";
}

std::string describe_hooks(const Row &row)
{
	std::vector<std::string_view> hooks;
	hooks.reserve(row.programs.size());
	for (const AttachedProgram &program : row.programs)
		hooks.push_back(program.hook);
	return hooks.empty() ? std::string(row.no_hooks) : fmt::format("{}", fmt::join(hooks, ", "));
}

std::string describe_agent(const Row &row)
{
	const auto persistent = row.persistent ? "persistent, " : "";
	if (row.agent)
		return fmt::format("{}process {}", persistent, *row.agent);
	return fmt::format("{}no agent is running", persistent);
}

std::string number(const std::optional<std::uint64_t> &value)
{
	return value ? fmt::format("{}", *value) : "?";
}

// The counters of a table come after the last of the interfaces that share it.
std::string as_text(const std::vector<Row> &rows)
{
	if (rows.empty())
		return "Nothing is attached.\n";
	std::string text;
	for (auto row = rows.begin(); row != rows.end(); ++row) {
		text += fmt::format("{} (index {}): {}; since {}; {}\n", printable(row->name), row->ifindex,
				    describe_hooks(*row), describe_since(*row), describe_agent(*row));
		if (std::next(row) != rows.end() && std::next(row)->table.id == row->table.id)
			continue;
		text += fmt::format(
			"  flows in the table: {} of {}{}\n", number(row->table.flows), row->table.max_flows,
			row->table.pressure.value_or(false) ? ", under pressure: unanswered flows end early" : "");
		for (const CounterName &counter : counter_names)
			if (row->table.counters && row->table.counters->value[counter.counter])
				text += fmt::format("  {}: {}\n", counter.name,
						    row->table.counters->value[counter.counter]);
	}
	return text;
}

Status as_status(const Row &row)
{
	Status status{.interface = row.name,
		      .ifindex = row.ifindex,
		      .hooks = {},
		      .since = since(row),
		      .persistent = row.persistent,
		      .agent = row.agent,
		      .flow_table_id = row.table.id,
		      .max_flows = row.table.max_flows,
		      .flows = row.table.flows,
		      .pressure = row.table.pressure,
		      .counters = row.table.counters};
	for (const AttachedProgram &program : row.programs)
		status.hooks.push_back({program.hook, program.id});
	return status;
}

std::string as_json(const std::vector<Row> &rows)
{
	fmt::memory_buffer text;
	for (const Row &row : rows)
		put_status(as_status(row), text);
	return fmt::to_string(text);
}

} // namespace

void define_status(OptionList &list, StatusOptions &options)
{
	list.arguments("IFACE", options.interfaces, "Only these interfaces");
	list.flag("--json", options.json, "One JSON object per interface");
	add_bpffs(list, options.bpffs);
	list.footer(examples);
}

Result<Exit> status(const StatusOptions &options)
{
	auto rows = TRY(find_rows(options));
	std::ranges::stable_sort(rows, {}, [](const Row &row) { return row.table.id; });
	const std::string text = options.json ? as_json(rows) : as_text(rows);
	if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return Exit::success;
}

} // namespace tcpwin
