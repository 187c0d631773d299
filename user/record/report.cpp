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

void add_direction(Totals &totals, const tcpwin_direction &direction)
{
	totals.packets += direction.packets;
	totals.below_threshold += direction.zero_window_count;
	totals.stat |= direction.stat;
	totals.state |= direction.state;
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
	add_flow(record.reason, record.a.direction, record.b.direction);
}

void Totals::add(const tcpwin_record &record)
{
	const unsigned a = endpoint_a(record.flow);
	add_flow(static_cast<tcpwin_end_reason>(record.reason), record.flow.direction[a], record.flow.direction[a ^ 1]);
}

void Totals::add_flow(tcpwin_end_reason reason, const tcpwin_direction &a, const tcpwin_direction &b)
{
	if (reason == TCPWIN_END_ACTIVE_TIMEOUT) {
		interim++;
		return;
	}
	flows++;
	unanswered_timeouts += reason == TCPWIN_END_UNANSWERED_TIMEOUT;
	flows_with_alarm += ((a.alarms | b.alarms) & TCPWIN_ALARM_ALL) != 0;
	a_flows++;
	add_direction(*this, a);
	if (!b.packets)
		return;
	b_flows++;
	add_direction(*this, b);
}

Totals &Totals::operator+=(const Totals &other)
{
	for (std::uint64_t Totals::*sum :
	     {&Totals::flows, &Totals::a_flows, &Totals::b_flows, &Totals::flows_with_alarm, &Totals::alarms,
	      &Totals::interim, &Totals::packets, &Totals::below_threshold, &Totals::summarized,
	      &Totals::unanswered_timeouts, &Totals::unwritten})
		this->*sum += other.*sum;
	stat |= other.stat;
	state |= other.state;
	return *this;
}

std::uint64_t tcp_packets(const tcpwin_counters &counters)
{
	return sum(counters, verdict_names);
}

std::uint64_t packets_seen(const tcpwin_counters &counters)
{
	return tcp_packets(counters) + sum(counters, reject_names);
}

std::optional<std::uint32_t> enough_flows(std::uint32_t max_flows, const tcpwin_counters &counters)
{
	if (!counters.value[TCPWIN_COUNTER_UNTRACKED_FULL])
		return std::nullopt;
	const std::uint64_t flows = max_flows + untracked_flows(counters);
	return static_cast<std::uint32_t>(std::bit_ceil(std::min<std::uint64_t>(flows, 1U << 31)));
}

std::string format_report(const Totals &totals, const tcpwin_counters &counters, const tcpwin_config &config,
			  std::uint32_t max_flows)
{
	const std::uint64_t tcp = tcp_packets(counters), seen = packets_seen(counters);
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

	if (totals.unanswered_timeouts)
		fmt::format_to(out, "Unanswered flows that ended early (flow table nearly full): {}\n",
			       totals.unanswered_timeouts);
	if (totals.summarized)
		fmt::format_to(out, "Flows without a record of their own (in unanswered lines): {}\n",
			       totals.summarized);
	put_counters(counters, out);
	if (totals.unwritten)
		fmt::format_to(out, "Records that could not be written: {}\n", totals.unwritten);
	if (const auto enough = enough_flows(max_flows, counters))
		fmt::format_to(out, "The flow table was full: --max-flows {} would have been enough\n", *enough);
	return text;
}

} // namespace tcpwin
