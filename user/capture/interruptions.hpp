// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace tcpwin {

// Descriptors to watch while a reader waits for a pipe or terminal.
struct Interruptions {
	int stop_fd = -1;             // readable: the wait ends, as at the end of the file
	int request_fd = -1;          // readable: answer() is called, and the wait continues
	std::function<void()> answer; // reads request_fd; empty: request_fd is ignored
};

} // namespace tcpwin
