// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "base/error.hpp"

namespace tcpwin {

struct ExplainOptions {
	std::string file; // - for standard input
	std::size_t top = 10;
};

// Writes a summary of the worst stalls of flow records or of a capture to standard output.
Result<Exit> explain(const ExplainOptions &options);

} // namespace tcpwin
