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
#include <nlohmann/json.hpp>

#include "agent/claim.hpp"
#include "base/clocks.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/object_info.hpp"
#include "cli/common_options.hpp"
#include "handover/deployment.hpp"
#include "record/names.hpp"

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
		    .counters = {},
		    .interfaces = {}};
	if (auto flows = read_live_flows(maps))
		table.flows = *flows;
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
	else
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

std::string since(const Row &row)
{
	if (!row.known())
		return "an unknown time";
	return format_time(WallTime(std::chrono::nanoseconds(row.known()->since_ns) + wall_clock_offset()));
}

std::string describe_hooks(const Row &row)
{
	std::vector<std::string> hooks;
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

// The counters of the end report that are not 0, by name.
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

// The counters of a table come after the last of the interfaces that share it.
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
		for (const AttachedProgram &program : row.programs)
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
