// SPDX-License-Identifier: Apache-2.0
#include "cli/flows.hpp"

#include <cerrno>
#include <cstdio>

#include "live/columns.hpp"
#include "live/programs.hpp"
#include "live/selection.hpp"
#include "live/tables.hpp"
#include "record/record.hpp"
#include "sinks/json.hpp"

namespace tcpwin {
namespace {

constexpr auto examples =
	R"(Lists flows that have not ended, of running agents and of what persistent agents left. CLOSED shows
the sides whose window is closed now; an open stall counts up to now. With --json, one object per
flow, with the fields of a flow record.

Examples:
  # The ten flows that were stalled longest
  sudo tcpwin-agent flows --limit 10

  # The flows of one server port
  sudo tcpwin-agent flows --filter :443

  # The endpoints whose window is closed now
  sudo tcpwin-agent flows --json |
    jq -c '.a, .b | select(. and .stall.open) | [.ip, .port, .stall.total]'

Exit codes: 0 done, 1 no agent was found or its flows cannot be read, 2 wrong usage,
77 no permission.)";

constexpr auto what = "cannot list the flows";

// Records are kept only if they will be written, because they are large. They are in the order of the flows.
struct Found {
	std::vector<LiveFlow> flows;
	struct Full {
		tcpwin_record record;
		const LiveTable *table;
	};
	std::vector<Full> records;
};

// The best flows so far, so that memory depends on the limit.
Found keep_best(const Found &found, const FlowsOptions &options, std::size_t limit)
{
	Found best;
	for (std::uint32_t place : select_flows(found.flows, options.selection.sort, {}, limit).best) {
		best.flows.push_back(found.flows[place]);
		if (options.json)
			best.records.push_back(found.records[place]);
	}
	return best;
}

Result<Found> find_flows(LiveTables &tables, const FlowsOptions &options)
{
	constexpr std::size_t batch = 4096;
	Found found;
	for (bool more = true; more;) {
		auto read = tables.read_some([&](const tcpwin_record &record, const LiveTable &table) {
			const LiveFlow flow = make_live_flow(record, table.id);
			if (!matches(flow, options.selection.filter))
				return;
			found.flows.push_back(flow);
			if (options.json)
				found.records.push_back({record, &table});
		});
		if (!read)
			return tl::unexpected(read.error());
		more = *read;
		if (options.limit && found.flows.size() >= 2 * std::size_t{*options.limit} + batch)
			found = keep_best(found, options, *options.limit);
	}
	return found;
}

Result<void> write(std::string_view text)
{
	if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
		return fail("cannot write to standard output", describe_errno(errno));
	return {};
}

Result<void> write_text(const Found &found, const Selected &selected, const InterfaceNames &names, Programs &programs)
{
	Columns columns =
		Columns::of_flows(Numbers::exact, names, [&](const LiveFlow &flow) { return programs.text(flow); });
	for (std::uint32_t place : selected.best)
		columns.measure(found.flows[place]);
	auto written = write(columns.heading() + "\n");
	for (auto place = selected.best.begin(); written && place != selected.best.end(); ++place) {
		std::string line = columns.line(found.flows[*place]);
		line.erase(line.find_last_not_of(' ') + 1);
		written = write(line + "\n");
	}
	return written;
}

Result<void> write_json(const Found &found, const Selected &selected, const FlowsOptions &options, Programs &programs)
{
	const auto offset = wall_clock_offset();
	fmt::memory_buffer line;
	for (std::uint32_t place : selected.best) {
		const auto &[record, table] = found.records[place];
		const auto name = table->names.find(record.flow.ifindex);
		const WallTime now(std::chrono::nanoseconds(static_cast<std::int64_t>(record.now_ns)) + offset);
		line.clear();
		put_live_flow(make_flow_record(record, table->config, offset,
					       name == table->names.end() ? std::string_view() : name->second,
					       programs.of(record)),
			      now, options.community_id_seed, line);
		TRY(write({line.data(), line.size()}));
	}
	return {};
}

} // namespace

void define_flows(OptionList &list, FlowsOptions &options)
{
	add_live_selection(list, options.selection);
	list.number("--limit", options.limit, 1, UINT32_MAX, "At most N flows (default: all)");
	list.flag("--json", options.json, "One JSON object per flow");
	add_community_id(list, options.community_id_seed);
	list.footer(examples);
}

Result<Exit> list_flows(const FlowsOptions &options)
{
	auto tables = TRY(LiveTables::open(options.selection.source, what));
	auto found = TRY(find_flows(tables, options));
	const Selected selected =
		select_flows(found.flows, options.selection.sort, {}, options.limit.value_or(found.flows.size()));
	Programs programs;
	auto written = options.json ? write_json(found, selected, options, programs) :
				      write_text(found, selected, tables.names(), programs);
	if (written && std::fflush(stdout) != 0)
		written = fail("cannot write to standard output", describe_errno(errno));
	if (!written)
		return tl::unexpected(written.error());
	return Exit::success;
}

} // namespace tcpwin
