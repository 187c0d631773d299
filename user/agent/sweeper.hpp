// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "agent/record_drain.hpp"
#include "base/error.hpp"
#include "bpf/program.hpp"

namespace tcpwin {

// Ends flows whose time has come, and writes their records.
class Sweeper {
public:
	// Both outlive it.
	Sweeper(Program &program, RecordDrain &drain) : program_(program), drain_(drain) {}

	// Only if a flow may have expired or the table is full.
	Result<void> sweep_if_due();
	// Also ends the flows that were first seen on this interface. One that other interfaces still see begins anew.
	Result<void> end_flows_of(unsigned ifindex);
	// At the end of the agent. Also ends all other flows, if they are not left to the next agent.
	Result<void> sweep_finally(bool end_all);
	// Whether this process may still sweep.
	bool works();

private:
	Result<void> sweep(tcpwin_sweep request);
	void warn_full();

	Program &program_;
	RecordDrain &drain_;
	std::chrono::steady_clock::time_point last_full_warning_{};
};

} // namespace tcpwin
