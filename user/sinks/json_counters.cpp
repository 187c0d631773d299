// SPDX-License-Identifier: Apache-2.0
// The lines that show counters: stats and status.
#include "record/names.hpp"
#include "sinks/json.hpp"
#include "sinks/json_line.hpp"

namespace tcpwin {
namespace {

std::optional<Rfc3339> rfc3339(std::optional<WallTime> time)
{
	return time ? std::optional(Rfc3339{*time}) : std::nullopt;
}

void put_totals(JsonLine &line, std::string_view name, const StatsTotals &totals)
{
	line.open(name);
	line.member<"packets">(packets_seen(totals.counters));
	for (const TotalName &total : total_names)
		line.member(total.name, totals.records.*total.value);
	for (const CounterName &counter : counter_names)
		line.member(counter.name, totals.counters.value[counter.counter]);
	line.close();
}

StatsTotals difference(StatsTotals later, const StatsTotals &earlier)
{
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
		later.counters.value[i] -= earlier.counters.value[i];
	for (const TotalName &total : total_names)
		later.records.*total.value -= earlier.records.*total.value;
	return later;
}

void put_hooks(JsonLine &line, const std::vector<Status::Hook> &hooks)
{
	line.open_array("hooks");
	for (const Status::Hook &hook : hooks) {
		line.open();
		line.member<"hook">(Plain{hook.name});
		line.member<"program_id">(hook.program_id);
		line.close();
	}
	line.close_array();
}

// Without those that are 0.
void put_counters(JsonLine &line, const std::optional<tcpwin_counters> &counters)
{
	line.open("counters");
	for (const CounterName &counter : counter_names)
		if (counters && counters->value[counter.counter])
			line.member(counter.name, counters->value[counter.counter]);
	line.close();
}

} // namespace

void put_stats(const Stats &stats, fmt::memory_buffer &buffer)
{
	JsonLine line(buffer, "stats");
	line.member<"time">(Rfc3339{stats.time});
	line.member<"time_ns">(stats.time);
	line.member<"uptime">(stats.uptime);
	line.member<"interval">(stats.interval);
	line.member<"last">(stats.last);
	line.member<"flows">(stats.flows);
	line.member<"peak_flows">(stats.totals.counters.peak_flows);
	line.member<"max_flows">(stats.max_flows);
	line.member<"pressure">(stats.pressure);
	line.member<"unseen">(stats.coverage.unseen);
	line.member<"reattachments">(stats.coverage.reattachments);
	line.member<"detached_hooks">(stats.coverage.detached);
	put_totals(line, "totals", stats.totals);
	put_totals(line, "delta", difference(stats.totals, stats.before));
}

void put_status(const Status &status, fmt::memory_buffer &buffer)
{
	JsonLine line(buffer, "status");
	line.member<"iface">(std::string_view(status.interface));
	line.member<"ifindex">(status.ifindex);
	put_hooks(line, status.hooks);
	line.member<"since">(rfc3339(status.since));
	line.member<"persistent">(status.persistent);
	line.member<"agent_pid">(status.agent);
	line.member<"flow_table_id">(status.flow_table_id);
	line.member<"max_flows">(status.max_flows);
	line.member<"flows">(status.flows);
	line.member<"pressure">(status.pressure);
	put_counters(line, status.counters);
}

void put_summary(const Summary &summary, fmt::memory_buffer &buffer)
{
	const Totals &records = summary.totals.records;
	JsonLine line(buffer, "summary");
	line.member<"time">(Rfc3339{summary.time});
	line.member<"time_ns">(summary.time);
	line.member<"version">(Plain{TCPWIN_VERSION});
	line.member<"source">(Plain{summary.live ? "live" : "replay"});
	line.member<"inputs">(summary.inputs);
	line.member<"engine">(Plain{summary.kernel ? "kernel" : "portable"});
	line.member<"profile">(summary.profile);
	line.member<"start">(rfc3339(summary.start));
	line.member<"end">(rfc3339(summary.end));
	line.member<"duration">(summary.start && summary.end ? *summary.end - *summary.start :
							       std::chrono::nanoseconds(0));
	line.member<"clock_steps_back">(summary.clock.steps_back);
	line.member<"clock_back">(summary.clock.back);
	line.member<"wild_times">(summary.clock.wild_times);
	line.member<"no_times">(summary.clock.no_times);
	line.member<"stat">(Hexadecimal{records.stat});
	line.member<"state">(Hexadecimal{records.state});
	line.member<"win_threshold">(summary.win_threshold);
	line.member<"tcp_packets">(tcp_packets(summary.totals.counters));
	line.member<"a_flows">(records.a_flows);
	line.member<"b_flows">(records.b_flows);
	line.member<"flows_with_alarm">(records.flows_with_alarm);
	line.member<"packets_in_flow_records">(records.packets);
	line.member<"flows">(summary.flows);
	line.member<"peak_flows">(summary.totals.counters.peak_flows);
	line.member<"max_flows">(summary.max_flows);
	line.member<"enough_max_flows">(enough_flows(summary.max_flows, summary.totals.counters));
	line.member<"unseen">(summary.coverage.unseen);
	line.member<"reattachments">(summary.coverage.reattachments);
	put_totals(line, "totals", summary.totals);
}

} // namespace tcpwin
