// SPDX-License-Identifier: Apache-2.0
#include "record/unanswered.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include <tcpwin/key.h>
#include <tcpwin/pressure.h>

namespace tcpwin {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::size_t most_receivers = 65'536;
constexpr std::size_t most_floods = 1024;
constexpr std::size_t listed_receivers = 10;
constexpr std::uint64_t quiet_seconds = 60; // after that long an alarm is raised again
constexpr std::uint64_t most_packets = 4;   // SYNs sent again, an answer, its reset

std::uint64_t packets_of(const tcpwin_flow &flow)
{
	return flow.direction[0].packets + flow.direction[1].packets;
}

bool ended_early(const tcpwin_record &record)
{
	return record.reason == TCPWIN_END_EVICTED || record.reason == TCPWIN_END_UNANSWERED_TIMEOUT;
}

bool ended_by_itself(const tcpwin_record &record)
{
	return ended_early(record) || record.reason == TCPWIN_END_IDLE_TIMEOUT ||
	       record.reason == TCPWIN_END_ABORT_TIMEOUT || record.reason == TCPWIN_END_FIN_TIMEOUT;
}

// A flow that raised an alarm, or that looks like one direction of a transfer, keeps its record.
bool is_summarized(const tcpwin_record &record, const tcpwin_config &config)
{
	const auto &[one, other] = record.flow.direction;
	return (config.rules & TCPWIN_RULE_SUMMARIZE_UNANSWERED) && ended_early(record) &&
	       packets_of(record.flow) <= most_packets && !((one.alarms | other.alarms) & TCPWIN_ALARM_ALL);
}

} // namespace

bool UnansweredFlows::Receiver::operator<(const Receiver &other) const
{
	if (const int order = tcpwin_compare_address(&address, &other.address))
		return order < 0;
	return std::pair(port, vlan) < std::pair(other.port, other.vlan);
}

void UnansweredFlows::begin(const tcpwin_counters &counters)
{
	set_unrecorded(counters);
	sum_ = {};
}

// Records of several CPUs are not in the order of their times.
bool UnansweredFlows::covers(std::uint64_t now_ns) const
{
	return now_ns / second == second_ || now_ns / second + 1 == second_;
}

void UnansweredFlows::pass_to(std::uint64_t now_ns, const tcpwin_config &config, std::chrono::nanoseconds wall_offset)
{
	if (covers(now_ns))
		return;
	finish(config, wall_offset);
	second_ = now_ns / second;
}

bool UnansweredFlows::add(const tcpwin_record &record, const tcpwin_config &config)
{
	if (!ended_by_itself(record) || !tcpwin_is_unanswered(&record.flow))
		return false;
	const bool summarized = is_summarized(record, config);
	const unsigned a = endpoint_a(record.flow), b = a ^ 1;
	const std::uint8_t flags = record.flow.direction[a].tcp_flags;
	const bool syn = (flags & TCPWIN_FLAG_SYN) && !(flags & TCPWIN_FLAG_ACK) && config.syn_flood_alarm;
	if (!summarized && !syn)
		return false;
	const Receiver receiver{record.key.address[b], record.key.port[b], record.key.vlan};
	const auto found = receivers_.find(receiver);
	Count *count = found != receivers_.end()          ? &found->second :
		       receivers_.size() < most_receivers ? &receivers_[receiver] :
							    nullptr;
	if (count) {
		count->summarized += summarized;
		count->syn += syn;
	}
	if (!summarized)
		return false;
	sum_.totals.add(record);
	sum_.totals.summarized++;
	sum_.bytes += record.flow.direction[0].bytes + record.flow.direction[1].bytes;
	(record.reason == TCPWIN_END_EVICTED ? sum_.evicted : sum_.timed_out)++;
	return true;
}

void UnansweredFlows::set_unrecorded(const tcpwin_counters &counters)
{
	const std::uint64_t flows = counters.value[TCPWIN_COUNTER_UNRECORDED_FLOWS];
	const std::uint64_t packets = counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS];
	sum_.unrecorded_flows += flows - std::exchange(unrecorded_flows_, flows);
	sum_.unrecorded_packets += packets - std::exchange(unrecorded_packets_, packets);
}

void UnansweredFlows::finish(const tcpwin_config &config, std::chrono::nanoseconds wall_offset)
{
	const auto end_ns = static_cast<std::int64_t>((second_ + 1) * second);
	report(config, WallTime(std::chrono::nanoseconds(end_ns) + wall_offset));
	sum_ = {};
	receivers_.clear();
}

void UnansweredFlows::report(const tcpwin_config &config, WallTime time)
{
	if (config.syn_flood_alarm)
		report_floods(config, time);
	if (!sum_.totals.flows && !sum_.unrecorded_flows)
		return;
	sum_.time = time;
	put_receivers(sum_);
	observer_.on_unanswered(sum_);
}

// One alarm for each receiver, until its flood has paused for a minute.
void UnansweredFlows::report_floods(const tcpwin_config &config, WallTime time)
{
	std::erase_if(floods_, [&](const auto &flood) { return second_ - flood.second > quiet_seconds; });
	for (const auto &[receiver, count] : receivers_) {
		if (count.syn <= config.syn_flood_alarm)
			continue;
		const auto known = floods_.find(receiver);
		if (known != floods_.end()) {
			known->second = second_;
		} else if (floods_.size() < most_floods) {
			floods_[receiver] = second_;
			observer_.on_syn_flood({.time = time,
						.vlan = receiver.vlan,
						.receiver_ip = format_address(receiver.address),
						.receiver_port = receiver.port,
						.rate = count.syn,
						.syn_flood_alarm = config.syn_flood_alarm});
		}
	}
}

void UnansweredFlows::put_receivers(UnansweredRecord &record) const
{
	std::vector<std::pair<Receiver, std::uint64_t>> all;
	for (const auto &[receiver, count] : receivers_)
		if (count.summarized)
			all.emplace_back(receiver, count.summarized);
	std::ranges::stable_sort(all, std::greater(), [](const auto &one) { return one.second; });
	all.resize(std::min(all.size(), listed_receivers));
	record.other_flows = record.totals.flows;
	for (const auto &[receiver, flows] : all) {
		record.receivers.push_back({format_address(receiver.address), receiver.port, flows});
		record.other_flows -= flows;
	}
}

} // namespace tcpwin
