// SPDX-License-Identifier: Apache-2.0
// The live agent: sweeps at every interval, writes records, and reports.
//
// One thread. It waits for the ring buffers, for signals, for changes of interfaces,
// for the reader of the output to close it, and for the next sweep.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "agent/interfaces.hpp"
#include "agent/options.hpp"
#include "agent/record_drain.hpp"
#include "agent/reopen_helper.hpp"
#include "agent/stats_reporter.hpp"
#include "agent/sweeper.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "bpf/program.hpp"
#include "handover/persistence.hpp"
#include "net/interface.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

class Session {
public:
	struct Parts {
		Signals signals;
		InterfaceMonitor monitor;
		Claims claims;
		RecordWriters writers;
		Program program;
		std::optional<Persistence> persistence; // only of a persistent agent
		ReopenHelper helper;
		std::unique_ptr<Attribution> attribution; // null: none is wanted
	};

	// options must outlive this object.
	Session(const SessionOptions &options, Parts parts);
	Session(const Session &) = delete;
	Session &operator=(const Session &) = delete;

	Result<void> attach_all();
	// Call after attach_all(). Logs a warning if a privilege cannot be dropped.
	void drop_privileges();
	// Runs until a signal, the end of the duration, or an error.
	Result<void> watch();
	// Detaches and writes the remaining flows, even after an error. A persistent agent leaves both to the next one.
	Result<void> finish();
	// The end report.
	std::string report() const { return stats_.report(false); }
	// The same as JSON. Nothing without --summary.
	Result<void> write_summary(const std::string &profile);

private:
	using Clock = std::chrono::steady_clock;

	Result<void> write_out_earlier();
	Result<void> forget_gone();
	Result<void> forget(unsigned ifindex);
	Result<void> forget_deleted(const std::vector<Interface> &all);
	Result<void> follow_interfaces();
	Result<void> check_hooks();
	bool reattaches() const;
	Result<void> wait(Clock::time_point until);
	Result<void> write_stats(bool last);
	Result<void> answer_signals();
	Result<void> reopen();
	void reread_settings();

	const SessionOptions &options_;
	Signals signals_;
	InterfaceMonitor monitor_;
	RecordWriters writers_;
	Program program_;
	std::optional<Persistence> persistence_;
	ReopenHelper helper_;
	std::unique_ptr<Attribution> attribution_;
	Interfaces interfaces_; // this and the following refer to members above
	RecordDrain drain_;
	Sweeper sweeper_;
	StatsReporter stats_;
};

} // namespace tcpwin
