// SPDX-License-Identifier: Apache-2.0
// The explain command: describes the worst stalls of recorded flows.
#pragma once

#include <cstddef>
#include <string>

#include "cli/parser.hpp"
#include "explain/source.hpp"

namespace tcpwin {

struct ExplainOptions {
	std::string file; // - for standard input
	std::size_t top = 10;
	CaptureOptions capture;
};

void define_explain(OptionList &list, ExplainOptions &options);

// Writes a summary of the worst stalls of flow records or of a capture to standard output.
Result<Exit> explain(const ExplainOptions &options);

} // namespace tcpwin
