// SPDX-License-Identifier: Apache-2.0
// The live agent at work: sweep at every interval, write records, report.
//
// One thread. It waits for the ring buffers, for signals, for interfaces that come
// and go, for the output's reader to go away, and for the next sweep.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "bpf/program.hpp"
#include "error.hpp"
#include "interfaces.hpp"
#include "net/interface.hpp"
#include "options.hpp"
#include "persistence.hpp"
#include "record_writers.hpp"
#include "stop_signal.hpp"

namespace tcpwin {

class Session {
public:
	// options outlives it.
	Session(const AttachOptions &options, StopSignal stop, InterfaceMonitor monitor, Claims claims,
		RecordWriters writers, Program program, std::optional<Persistence> persistence);
	Session(const Session &) = delete;
	Session &operator=(const Session &) = delete;

	Result<void> attach_all();
	// What is to be attached, is; a monitor goes on with privileges that it could not give up.
	void drop_privileges();
	Result<void> watch();
	// Detaches and writes what is left, after an error too. --persistent: leaves it to the next agent.
	Result<void> finish();
	std::string report();

private:
	using Clock = std::chrono::steady_clock;

	Result<void> wait(Clock::time_point until);
	Result<void> sweep(tcpwin_sweep request);
	Result<void> sweep_if_due();
	Result<void> write_records();
	Result<void> flush();
	void announce();
	Result<void> write_out_earlier();
	Result<void> follow_interfaces();
	Result<void> forget(unsigned ifindex);
	Result<void> forget_deleted(const std::vector<Interface> &all);
	void warn_full();

	const AttachOptions &options_;
	StopSignal stop_;
	InterfaceMonitor monitor_;
	RecordWriters writers_;
	Program program_;
	std::optional<Persistence> persistence_;
	Interfaces interfaces_; // refers to the two before it
	std::uint64_t packets_reported_ = 0;
	bool failed_ = false; // records could not be written
	Clock::time_point last_full_warning_{};
};

} // namespace tcpwin
