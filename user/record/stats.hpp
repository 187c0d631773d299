// SPDX-License-Identifier: Apache-2.0
// Counters of a running agent (--stats-interval).
#pragma once

#include <chrono>
#include <cstdint>

#include <tcpwin/types.h>

#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {

// Counters of the kernel, which include packets of live flows, and sums over the records. They only grow.
struct StatsTotals {
	tcpwin_counters counters{};
	Totals records;
};

struct Stats {
	WallTime time;
	std::chrono::nanoseconds uptime;   // since the agent began to attach
	std::chrono::nanoseconds interval; // since the previous line; in the first one, as uptime
	bool last;                         // the final line
	std::uint64_t flows;               // alive
	std::uint32_t max_flows;
	StatsTotals totals;
	StatsTotals before; // at the beginning of the interval
};

} // namespace tcpwin
