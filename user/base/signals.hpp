// SPDX-License-Identifier: Apache-2.0
// Signals as file descriptors. The first SIGINT or SIGTERM asks the agent to write its records and exit, a second one to
// exit at once. SIGUSR1 requests a report, SIGHUP reopens files.
#pragma once

#include <initializer_list>
#include <utility>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

// Blocks the signals for the process and returns a nonblocking signalfd(2). Empty on errors (errno).
UniqueFd watch_signals(std::initializer_list<int> numbers);

class Signals {
public:
	enum class Taken { stop, report, all };

	// Blocks the signals for the process, and ignores SIGPIPE, so that write(2) to a closed pipe returns an error.
	// stop: SIGINT and SIGTERM; report: also SIGUSR1; all: also SIGHUP. A SIGHUP that the kernel sends because the
	// terminal was closed counts as a stop, unless SIGHUP was ignored (nohup).
	static Result<Signals> create(Taken taken = Taken::stop);

	// Readable when a stop is requested; only collect() reads it.
	int stop_fd() const { return stop_fd_.get(); }
	// Likewise for the other signals.
	int request_fd() const { return request_fd_.get(); }
	// Reads the signals that have arrived.
	void collect();
	bool requested() const { return stops_ > 0; }
	bool insisted() const { return stops_ > 1; }
	// Whether the signal arrived since the last call.
	bool take_report() { return std::exchange(report_, false); }
	bool take_reopen() { return std::exchange(reopen_, false); }

private:
	Signals(UniqueFd stop_fd, UniqueFd request_fd, bool keeps_without_terminal)
		: stop_fd_(std::move(stop_fd)), request_fd_(std::move(request_fd)),
		  keeps_without_terminal_(keeps_without_terminal)
	{
	}

	UniqueFd stop_fd_;
	UniqueFd request_fd_;
	bool keeps_without_terminal_;
	int stops_ = 0;
	bool report_ = false;
	bool reopen_ = false;
};

} // namespace tcpwin
