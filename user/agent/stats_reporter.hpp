// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "agent/interfaces.hpp"
#include "base/error.hpp"
#include "bpf/program.hpp"
#include "record/stats.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// Reports the counters, as stats records and in the end report.
class StatsReporter {
public:
	// The references must outlive this object. persistent: counters may include those of earlier agents, and flows
	// may remain.
	StatsReporter(Program &program, RecordWriters &writers, const Interfaces &interfaces, bool persistent)
		: program_(program), writers_(writers), interfaces_(interfaces), persistent_(persistent)
	{
	}

	// Starts the first interval, which excludes what earlier agents counted.
	Result<void> begin();
	// Passes a stats record to the writers. last: the agent is exiting.
	Result<void> write(bool last);
	// still_running: the agent is not exiting.
	std::string report(bool still_running) const;
	// Without inputs and profile.
	Result<Summary> summary() const;

private:
	Result<StatsTotals> totals() const;

	Program &program_;
	RecordWriters &writers_;
	const Interfaces &interfaces_;
	bool persistent_;
	std::uint64_t started_ns_ = 0;    // CLOCK_BOOTTIME, as in the next
	std::uint64_t last_stats_ns_ = 0; // when last_stats_ was taken
	StatsTotals last_stats_;
};

} // namespace tcpwin
