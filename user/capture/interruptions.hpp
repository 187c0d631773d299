// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace tcpwin {

// What may come while a reader waits for a pipe or terminal.
struct Interruptions {
	int stop_fd = -1;             // readable: the wait ends, as if the file did
	int request_fd = -1;          // readable: it is answered, and the wait goes on
	std::function<void()> answer; // reads request_fd; none: not yet
};

} // namespace tcpwin
