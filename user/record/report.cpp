// SPDX-License-Identifier: Apache-2.0
#include "record/report.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <numeric>

#include <fmt/format.h>

#include "record/names.hpp"

namespace tcpwin {
namespace {

void add_side(Totals &totals, const Side &side)
{
	totals.packets += side.direction.packets;
	totals.below_threshold += side.direction.zero_window_count;
	totals.stat |= side.direction.stat;
	totals.state |= side.direction.state;
}

template <std::size_t n> std::uint64_t sum(const tcpwin_counters &counters, const CounterName (&names)[n])
{
	return std::accumulate(
		std::begin(names), std::end(names), std::uint64_t{0},
		[&](std::uint64_t all, const CounterName &c) { return all + counters.value[c.counter]; });
}

double percent(std::uint64_t part, std::uint64_t whole)
{
	return whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

// Estimates how many flows set the bits: linear counting (Whang et al., 1990). Three standard deviations are less than
// 2 % as long as some bits are clear. Each untracked packet began at most one flow, which is an upper bound.
std::uint64_t untracked_flows(const tcpwin_counters &counters)
{
	const std::uint64_t packets = counters.value[TCPWIN_COUNTER_UNTRACKED_FULL];
	const auto set = static_cast<double>(counters.value[TCPWIN_COUNTER_UNTRACKED_FLOWS]);
	if (set > 0.999 * TCPWIN_UNTRACKED_BITS)
		return packets;
	const double flows = -std::log1p(-set / TCPWIN_UNTRACKED_BITS) * TCPWIN_UNTRACKED_BITS;
	return std::min(packets, static_cast<std::uint64_t>(std::ceil(1.02 * flows)));
}

// One more entry for each flow that found the table full.
std::uint32_t enough_flows(std::uint32_t max_flows, const tcpwin_counters &counters)
{
	const std::uint64_t flows = max_flows + untracked_flows(counters);
	return static_cast<std::uint32_t>(std::bit_ceil(std::min<std::uint64_t>(flows, 1U << 31)));
}

// One line for each counter of rejected, lost or otherwise treated packets that is not zero.
void put_counters(const tcpwin_counters &counters, std::back_insert_iterator<std::string> out)
{
	for (const CounterName &c : reject_names)
		if (counters.value[c.counter])
			fmt::format_to(out, "Rejected {} ({}): {}\n", c.name, c.explanation, counters.value[c.counter]);
	for (const CounterName &c : verdict_names)
		if (c.counter != TCPWIN_COUNTER_TRACKED && counters.value[c.counter])
			fmt::format_to(out, "Lost {} ({}): {}\n", c.name, c.explanation, counters.value[c.counter]);
	for (const CounterName &c : event_names)
		if (!c.report.empty() && counters.value[c.counter])
			fmt::format_to(out, "{}: {}\n", c.report, counters.value[c.counter]);
}

} // namespace

void Totals::add(const FlowRecord &record)
{
	if (record.is_interim()) {
		interim++;
		return;
	}
	flows++;
	flows_with_alarm += record.has_alarm();
	a_flows++;
	add_side(*this, record.a);
	if (!record.b.seen())
		return;
	b_flows++;
	add_side(*this, record.b);
}

std::uint64_t packets_seen(const tcpwin_counters &counters)
{
	return sum(counters, verdict_names) + sum(counters, reject_names);
}

std::string format_report(const Totals &totals, const tcpwin_counters &counters, const tcpwin_config &config,
			  std::uint32_t max_flows)
{
	const std::uint64_t tcp = sum(counters, verdict_names), seen = packets_seen(counters);
	std::string text;
	auto out = std::back_inserter(text);

	fmt::format_to(out, "Aggregated tcpWinStat=0x{:02x}\n", totals.stat);
	fmt::format_to(out, "Aggregated tcpWinState=0x{:02x}\n", totals.state);
	fmt::format_to(out, "Number of TCP packets below window threshold {}: {} [{:.2f}%]\n", config.window_threshold,
		       totals.below_threshold, percent(totals.below_threshold, totals.packets));
	fmt::format_to(out, "Packets seen: {}\n", seen);
	fmt::format_to(out, "TCP packets: {} [{:.2f}%]\n", tcp, percent(tcp, seen));
	fmt::format_to(out, "Flows: {}\nA flows: {}\nB flows: {}\n", totals.flows, totals.a_flows, totals.b_flows);
	fmt::format_to(out, "Alarms in flows: {} [{:.2f}%]\n", totals.flows_with_alarm,
		       percent(totals.flows_with_alarm, totals.flows));
	if (totals.alarms)
		fmt::format_to(out, "Alarms reported: {}\n", totals.alarms);
	if (totals.interim)
		fmt::format_to(out, "Interim records of flows that continued: {}\n", totals.interim);
	fmt::format_to(out, "Largest number of flows in the table: {}\n", counters.peak_flows);

	put_counters(counters, out);
	if (totals.unwritten)
		fmt::format_to(out, "Records that could not be written: {}\n", totals.unwritten);
	if (counters.value[TCPWIN_COUNTER_UNTRACKED_FULL])
		fmt::format_to(out, "The flow table was full: --max-flows {} would have been enough\n",
			       enough_flows(max_flows, counters));
	return text;
}

} // namespace tcpwin
