// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM as a file descriptor. The first asks the agent to write
// what it has and end; a second means now.
#pragma once

#include "error.hpp"
#include "unique_fd.hpp"

namespace tcpwin {

class StopSignal {
public:
	// Blocks both signals for the process and ignores SIGPIPE, so that a closed pipe is an error of write(2).
	static Result<StopSignal> create();

	int fd() const { return fd_.get(); }
	// Takes up signals that have arrived.
	void collect();
	bool requested() const { return count_ > 0; }
	bool insisted() const { return count_ > 1; }

private:
	explicit StopSignal(UniqueFd fd) : fd_(std::move(fd)) {}

	UniqueFd fd_;
	int count_ = 0;
};

} // namespace tcpwin
