// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "agent/record_drain.hpp"
#include "base/error.hpp"
#include "bpf/program.hpp"

namespace tcpwin {

// Ends expired flows and writes their records.
class Sweeper {
public:
	// Both must outlive this object.
	Sweeper(Program &program, RecordDrain &drain) : program_(program), drain_(drain) {}

	// Sweeps if a flow may have expired or the table is full.
	Result<void> sweep_if_due();
	// Sweeps, and also ends the flows first seen on this interface. If other interfaces still see such a flow, it
	// restarts as a new one.
	Result<void> end_flows_of(unsigned ifindex);
	// Sweeps at exit. end_all: also ends the active flows, which are otherwise left to the next agent.
	Result<void> sweep_finally(bool end_all);
	// Whether this process still has permission to sweep.
	bool works();

private:
	Result<void> sweep(tcpwin_sweep request);
	void warn_full();
	void tell_pressure();

	// When the pressure began, and what had been counted by then.
	struct Pressure {
		std::uint64_t since_ns;
		std::uint64_t evicted;
		std::uint64_t untracked;
		std::uint64_t ended_early;
	};

	Program &program_;
	RecordDrain &drain_;
	std::chrono::steady_clock::time_point last_full_warning_{};
	std::uint64_t untracked_ = 0;   // packets, when warned last
	std::uint64_t ended_early_ = 0; // flows, by all sweeps
	std::uint64_t examined_ns_ = 0;
	std::optional<Pressure> pressure_;
};

} // namespace tcpwin
