// SPDX-License-Identifier: Apache-2.0
#include "cli/flows.hpp"

#include <cerrno>
#include <cstdio>

#include "live/columns.hpp"
#include "live/selection.hpp"
#include "live/tables.hpp"
#include "record/record.hpp"
#include "sinks/json.hpp"

namespace tcpwin {
namespace {

constexpr auto what = "cannot list the flows";

// records only for JSON, because they are large; in the order of flows.
struct Found {
	std::vector<LiveFlow> flows;
	struct Full {
		tcpwin_record record;
		const LiveTable *table;
	};
	std::vector<Full> records;
};

Result<Found> find_flows(LiveTables &tables, const FlowsOptions &options)
{
	Found found;
	for (bool more = true; more;) {
		auto read = tables.read_some([&](const tcpwin_record &record, const LiveTable &table) {
			const LiveFlow flow = make_live_flow(record, table.id);
			if (!matches(flow, options.filter))
				return;
			found.flows.push_back(flow);
			if (options.json)
				found.records.push_back({record, &table});
		});
		if (!read)
			return tl::unexpected(read.error());
		more = *read;
	}
	return found;
}

Result<void> write(std::string_view text)
{
	if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
		return fail("cannot write to standard output", describe_errno(errno));
	return {};
}

Result<void> write_text(const Found &found, const Selected &selected, const InterfaceNames &names)
{
	Columns columns = Columns::of_flows(Numbers::exact, names);
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

Result<void> write_json(const Found &found, const Selected &selected, const FlowsOptions &options)
{
	const auto offset = wall_clock_offset();
	fmt::memory_buffer line;
	for (std::uint32_t place : selected.best) {
		const auto &[record, table] = found.records[place];
		const auto name = table->names.find(record.flow.ifindex);
		const WallTime now(std::chrono::nanoseconds(static_cast<std::int64_t>(record.now_ns)) + offset);
		line.clear();
		put_live_flow(make_flow_record(record, table->config, offset,
					       name == table->names.end() ? std::string_view() : name->second),
			      now, options.community_id_seed, line);
		TRY(write({line.data(), line.size()}));
	}
	return {};
}

} // namespace

Result<Exit> list_flows(const FlowsOptions &options)
{
	auto tables = TRY(LiveTables::open(options.source, what));
	auto found = TRY(find_flows(tables, options));
	const Selected selected =
		select_flows(found.flows, options.sort, {}, options.limit.value_or(found.flows.size()));
	auto written =
		options.json ? write_json(found, selected, options) : write_text(found, selected, tables.names());
	if (written && std::fflush(stdout) != 0)
		written = fail("cannot write to standard output", describe_errno(errno));
	if (!written)
		return tl::unexpected(written.error());
	return Exit::success;
}

} // namespace tcpwin
