// SPDX-License-Identifier: Apache-2.0
// The end report: totals of everything seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tcpwin/types.h>

#include "record/record.hpp"

namespace tcpwin {

// Sums over all records.
struct Totals {
	std::uint64_t flows = 0;
	std::uint64_t a_flows = 0;
	std::uint64_t b_flows = 0;
	std::uint64_t flows_with_alarm = 0;
	std::uint64_t alarms = 0;  // reported at a packet
	std::uint64_t interim = 0; // records of flows that had not ended, which count nowhere else
	std::uint64_t packets = 0;
	std::uint64_t below_threshold = 0;
	std::uint8_t stat = 0;                 // of all directions
	std::uint8_t state = 0;                // of all directions at their end
	std::uint64_t summarized = 0;          // of the flows: those that are only in unanswered lines
	std::uint64_t unanswered_timeouts = 0; // of the flows: those that ended early, see tcpwin/pressure.h
	std::uint64_t unwritten = 0;           // flow and packet records that could not be written

	void add(const FlowRecord &record);
	void add(const tcpwin_record &record);
	Totals &operator+=(const Totals &other);

private:
	void add_flow(enum tcpwin_end_reason reason, const tcpwin_direction &a, const tcpwin_direction &b);
};

// The sums that stats lines show, by their names there.
struct TotalName {
	std::uint64_t Totals::*value;
	std::string_view name;
	std::string_view explanation;
};

inline constexpr TotalName total_names[] = {
	{&Totals::flows, "flow_records", "flows that ended, whether their records were written or left out"},
	{&Totals::interim, "interim_records", "records of flows that have not ended"},
	{&Totals::alarms, "alarms", "alarms raised at a packet"},
	{&Totals::below_threshold, "packets_below_threshold",
	 "packets below the window threshold, of the flows that ended"},
	{&Totals::unanswered_timeouts, "unanswered_timeouts",
	 "unanswered flows that ended early: flow table nearly full"},
	{&Totals::summarized, "summarized_flows", "of the flow_records: those that are only in unanswered lines"},
	{&Totals::unwritten, "records_unwritten", "records that could not be written"},
};

// Packets that entered the kernel program: the sum of all verdicts and rejects, since each packet counts in one.
std::uint64_t packets_seen(const tcpwin_counters &counters);
// Those of them that were TCP segments: the sum of all verdicts.
std::uint64_t tcp_packets(const tcpwin_counters &counters);

// A size of the table that would have been enough: one more entry for each flow that found it full. Nothing if none did.
std::optional<std::uint32_t> enough_flows(std::uint32_t max_flows, const tcpwin_counters &counters);

// Lines of text, each with its newline. Loss and reject counters only if they are not zero.
std::string format_report(const Totals &totals, const tcpwin_counters &counters, const tcpwin_config &config,
			  std::uint32_t max_flows);

} // namespace tcpwin
