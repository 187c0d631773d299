// SPDX-License-Identifier: Apache-2.0
// The detach command: detaches what persistent agents left.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "bpf/pins.hpp"
#include "cli/parser.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

struct DetachOptions {
	std::vector<std::string> interfaces; // none: all
	FlowOutputOptions output;            // appended to
	std::string bpffs = default_bpffs;
	Verbosity verbosity = Verbosity::normal;
};

void define_detach(OptionList &list, DetachOptions &options);

// Ends what persistent agents left attached: detaches, writes the remaining flows, and removes the pins.
// Error: an agent is still running, or nothing is left on an interface that was named.
Result<Exit> detach(const DetachOptions &options);

} // namespace tcpwin
