// SPDX-License-Identifier: Apache-2.0
// JSON lines that a test made the agent write, kept for tests/net/lines.py to validate when all tests have run.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <unistd.h>

namespace tcpwin::test {

// CTest sets the directory (TCPWIN_EMITTED); without it nothing is kept. Text that is not JSON is ignored.
inline void keep_emitted(std::string_view lines)
{
	const char *directory = std::getenv("TCPWIN_EMITTED");
	if (!directory || !lines.starts_with('{'))
		return;
	std::ofstream file(std::string(directory) + "/" + std::to_string(getpid()), std::ios::app | std::ios::binary);
	file << lines;
	if (!file.flush())
		std::abort(); // a line that is not kept is not validated
}

} // namespace tcpwin::test
