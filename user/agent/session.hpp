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
#include "base/error.hpp"
#include "agent/reopen_helper.hpp"
#include "agent/interfaces.hpp"
#include "net/interface.hpp"
#include "cli/options.hpp"
#include "handover/persistence.hpp"
#include "sinks/outputs.hpp"
#include "record/stats.hpp"
#include "base/signals.hpp"

namespace tcpwin {

class Session {
public:
	// options outlives it.
	Session(const AttachOptions &options, Signals signals, InterfaceMonitor monitor, Claims claims,
		RecordWriters writers, Program program, std::optional<Persistence> persistence, FileOpener opener);
	Session(const Session &) = delete;
	Session &operator=(const Session &) = delete;

	Result<void> attach_all();
	// What is to be attached, is; a monitor goes on with privileges that it could not give up.
	void drop_privileges();
	Result<void> watch();
	// Detaches and writes what is left, after an error too. --persistent: leaves it to the next agent.
	Result<void> finish();
	// goes_on: it is not the end yet.
	std::string report(bool goes_on = false);

private:
	using Clock = std::chrono::steady_clock;

	Result<void> wait(Clock::time_point until);
	Result<void> sweep(tcpwin_sweep request);
	Result<void> sweep_if_due();
	Result<void> write_records();
	Result<void> flush();
	void announce();
	Result<void> answer_signals();
	Result<void> reopen();
	void reread_settings();
	Result<StatsTotals> totals() const;
	Result<void> begin_stats();
	Result<void> write_stats(bool last);
	Result<void> write_out_earlier();
	Result<void> follow_interfaces();
	Result<void> forget(unsigned ifindex);
	Result<void> forget_deleted(const std::vector<Interface> &all);
	void warn_full();

	const AttachOptions &options_;
	Signals signals_;
	InterfaceMonitor monitor_;
	RecordWriters writers_;
	Program program_;
	std::optional<Persistence> persistence_;
	FileOpener opener_;
	Interfaces interfaces_; // refers to the two before it
	std::uint64_t packets_reported_ = 0;
	bool failed_ = false; // records could not be written
	Clock::time_point last_full_warning_{};
	std::uint64_t started_ns_ = 0;    // of the boot clock, as the next
	std::uint64_t last_stats_ns_ = 0; // when last_stats_ was
	StatsTotals last_stats_;
};

} // namespace tcpwin
