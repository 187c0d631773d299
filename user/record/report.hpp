// SPDX-License-Identifier: Apache-2.0
// The end report: what was seen in all.
#pragma once

#include <cstdint>
#include <string>

#include <tcpwin/types.h>

#include "record/record.hpp"

namespace tcpwin {

// Sums over the records.
struct Totals {
	std::uint64_t flows = 0;
	std::uint64_t a_flows = 0;
	std::uint64_t b_flows = 0;
	std::uint64_t flows_with_alarm = 0;
	std::uint64_t alarms = 0;  // reported at a packet
	std::uint64_t interim = 0; // records of flows that went on, which count nowhere else
	std::uint64_t packets = 0;
	std::uint64_t below_threshold = 0;
	std::uint8_t stat = 0;       // of all directions
	std::uint8_t state = 0;      // of all directions at their end
	std::uint64_t unwritten = 0; // flow and packet records that could not be written

	void add(const FlowRecord &record);
};

// Every packet is in one of the counters of the kernel that say where it went.
std::uint64_t packets_seen(const tcpwin_counters &counters);

// Several lines of text, each ended. Loss and reject counters only where they are not zero.
std::string format_report(const Totals &totals, const tcpwin_counters &counters, const tcpwin_config &config,
			  std::uint32_t max_flows);

} // namespace tcpwin
