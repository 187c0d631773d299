// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/error.hpp"
#include "bpf/program.hpp"
#include "record/stats.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// What was counted, as stats records and as the report.
class StatsReporter {
public:
	// Both outlive it. persistent: earlier agents may have counted, and flows may stay.
	StatsReporter(Program &program, RecordWriters &writers, bool persistent)
		: program_(program), writers_(writers), persistent_(persistent)
	{
	}

	// The first interval begins. What earlier agents counted is not part of it.
	Result<void> begin();
	// Hands a stats record to the writers. last: the agent ends.
	Result<void> write(bool last);
	// still_running: the agent does not end yet.
	std::string report(bool still_running) const;

private:
	Result<StatsTotals> totals() const;

	Program &program_;
	RecordWriters &writers_;
	bool persistent_;
	std::uint64_t started_ns_ = 0;    // of the boot clock, as the next
	std::uint64_t last_stats_ns_ = 0; // when last_stats_ was taken
	StatsTotals last_stats_;
};

} // namespace tcpwin
