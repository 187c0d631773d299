// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_stats.hpp"

#include "record/names.hpp"

namespace tcpwin {
namespace {

struct TotalName {
	std::uint64_t Totals::*value;
	std::string_view name;
};

constexpr TotalName total_names[] = {
	{&Totals::flows, "flow_records"},
	{&Totals::interim, "interim_records"},
	{&Totals::alarms, "alarms"},
	{&Totals::below_threshold, "packets_below_threshold"},
	{&Totals::unwritten, "records_unwritten"},
};

// Hands over each name with its total.
void for_each_total(const StatsTotals &totals, const auto &take)
{
	take("packets", packets_seen(totals.counters));
	for (const TotalName &total : total_names)
		take(total.name, totals.records.*total.value);
	const auto take_counters = [&](const auto &names) {
		for (const CounterName &counter : names)
			take(counter.name, totals.counters.value[counter.counter]);
	};
	take_counters(verdict_names);
	take_counters(event_names);
	take_counters(reject_names);
}

void put_totals(const StatsTotals &totals, fmt::memory_buffer &buffer)
{
	std::string_view separator;
	for_each_total(totals, [&](std::string_view name, std::uint64_t value) {
		fmt::format_to(fmt::appender(buffer), "{}\"{}\":{}", separator, name, value);
		separator = ",";
	});
}

StatsTotals difference(StatsTotals later, const StatsTotals &earlier)
{
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
		later.counters.value[i] -= earlier.counters.value[i];
	for (const TotalName &total : total_names)
		later.records.*total.value -= earlier.records.*total.value;
	return later;
}

std::string seconds(std::chrono::nanoseconds duration)
{
	return fmt::format("{}.{:09}", duration.count() / 1'000'000'000, duration.count() % 1'000'000'000);
}

} // namespace

void put_stats(const Stats &stats, fmt::memory_buffer &buffer)
{
	fmt::format_to(fmt::appender(buffer),
		       R"({{"schema":1,"event":"stats","time":"{}","time_ns":{},"uptime":{},"interval":{},"last":{},)"
		       R"("flows":{},"peak_flows":{},"max_flows":{},"totals":{{)",
		       format_time(stats.time), stats.time.time_since_epoch().count(), seconds(stats.uptime),
		       seconds(stats.interval), stats.last, stats.flows, stats.totals.counters.peak_flows,
		       stats.max_flows);
	put_totals(stats.totals, buffer);
	buffer.append(std::string_view(R"(},"delta":{)"));
	put_totals(difference(stats.totals, stats.before), buffer);
	buffer.append(std::string_view("}}\n"));
}

} // namespace tcpwin
