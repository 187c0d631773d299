// SPDX-License-Identifier: Apache-2.0
// What a running agent has counted so far (--stats-interval).
#pragma once

#include <chrono>
#include <cstdint>

#include <tcpwin/types.h>

#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {

// Of the kernel, which count packets of flows that are alive, too, and of the records. They only grow.
struct StatsTotals {
	tcpwin_counters counters{};
	Totals records;
};

struct Stats {
	WallTime time;
	std::chrono::nanoseconds uptime;   // since the agent began to attach
	std::chrono::nanoseconds interval; // since the line before, or since then
	bool last;                         // the agent ends
	std::uint64_t flows;               // alive
	std::uint32_t max_flows;
	StatsTotals totals;
	StatsTotals before; // at the begin of the interval
};

} // namespace tcpwin
