// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Shows flows and peers on the whole screen until the user quits. Needs CAP_SYS_ADMIN.
Result<Exit> top(const TopOptions &options);

} // namespace tcpwin
