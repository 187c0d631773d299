// SPDX-License-Identifier: Apache-2.0
// The top command: shows flows and peers full-screen.
#pragma once

#include <chrono>

#include "cli/common_options.hpp"

namespace tcpwin {

struct TopOptions {
	LiveSelection selection;
	std::chrono::nanoseconds interval = std::chrono::seconds(1);
};

void define_top(OptionList &list, TopOptions &options);

// Shows flows and peers on the whole screen until the user quits. Needs CAP_SYS_ADMIN.
Result<Exit> top(const TopOptions &options);

} // namespace tcpwin
