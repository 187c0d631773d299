// SPDX-License-Identifier: Apache-2.0
// The status command: shows what is attached.
#pragma once

#include <string>
#include <vector>

#include "bpf/pins.hpp"
#include "cli/parser.hpp"

namespace tcpwin {

struct StatusOptions {
	std::vector<std::string> interfaces; // none: all
	std::string bpffs = default_bpffs;
	bool json = false;
};

void define_status(OptionList &list, StatusOptions &options);

// Shows the agents' programs on the interfaces of this network namespace, whether or not an agent is running, their
// counters, and what is left of interfaces that were deleted. Needs CAP_SYS_ADMIN.
Result<Exit> status(const StatusOptions &options);

} // namespace tcpwin
