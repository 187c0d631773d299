// SPDX-License-Identifier: Apache-2.0
// Signals as file descriptors. The first SIGINT or SIGTERM asks the agent to write what it has and end; a second means
// now. SIGUSR1 asks for a report, SIGHUP to open files again.
#pragma once

#include <initializer_list>
#include <utility>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

// Blocks them for the process; readable as signalfd(2) has it, without waiting. Not a descriptor on errors (errno).
UniqueFd watch_signals(std::initializer_list<int> numbers);

class Signals {
public:
	enum class Taken { stop, report, all };

	// Blocks those that are taken, for the process, and ignores SIGPIPE, so that a closed pipe is an error of write(2).
	// stop: SIGINT and SIGTERM; report: SIGUSR1, too; all: and SIGHUP, which is a stop if it says that the terminal
	// has gone, unless it was ignored (nohup).
	static Result<Signals> create(Taken taken = Taken::stop);

	// Readable once it is to stop; reading is collect()'s.
	int stop_fd() const { return stop_fd_.get(); }
	// The same for the others.
	int request_fd() const { return request_fd_.get(); }
	// Takes up signals that have arrived.
	void collect();
	bool requested() const { return stops_ > 0; }
	bool insisted() const { return stops_ > 1; }
	// Whether one came since the last call.
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
