// SPDX-License-Identifier: Apache-2.0
// Counters of a running agent (--stats-interval).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tcpwin/types.h>

#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {

// Counters of the kernel, which include packets of live flows, and sums over the records. They only grow.
struct StatsTotals {
	tcpwin_counters counters{};
	Totals records;
};

// How well the packets of the interfaces were seen, summed over hooks (incoming and outgoing packets of an interface).
struct Coverage {
	// Time without a program, because other software detached it. An upper bound: it is noticed within a second.
	std::chrono::nanoseconds unseen{};
	std::uint64_t reattachments = 0; // times that a program was attached again
	std::uint64_t detached = 0;      // hooks that have no program now

	Coverage &operator+=(const Coverage &other)
	{
		unseen += other.unseen;
		reattachments += other.reattachments;
		detached += other.detached;
		return *this;
	}
};

struct Stats {
	WallTime time;
	std::chrono::nanoseconds uptime;   // since the agent began to attach
	std::chrono::nanoseconds interval; // since the previous line; in the first one, as uptime
	bool last;                         // the final line
	std::uint64_t flows;               // alive
	std::uint32_t max_flows;
	bool pressure; // see tcpwin/pressure.h
	Coverage coverage;
	StatsTotals totals;
	StatsTotals before; // at the beginning of the interval
};

// The end report of a run (--summary).
struct Summary {
	// What was wrong with the times of a capture.
	struct Clock {
		std::uint64_t steps_back = 0;
		std::chrono::nanoseconds back{}; // about, in all steps
		std::uint64_t wild_times = 0;
		bool no_times = false;
	};

	WallTime time;                   // when it was made
	bool live;                       // false: a replay
	bool kernel;                     // tracked by the kernel program; false: in user space
	std::string profile;             // at the start
	std::vector<std::string> inputs; // interfaces or files
	std::optional<WallTime>
		start; // live: when the agent began to attach; replay: of the first frame, if there was one
	std::optional<WallTime> end; // live: time; replay: of the last frame
	Clock clock;
	std::uint32_t win_threshold;
	std::uint64_t flows; // still in the table
	std::uint32_t max_flows;
	Coverage coverage;
	StatsTotals totals;
};

} // namespace tcpwin
