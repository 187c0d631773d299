// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "error.hpp"
#include "options.hpp"

namespace tcpwin {

// Shows flows and peers on the whole screen until the user quits. Needs CAP_SYS_ADMIN.
Result<Exit> top(const TopOptions &options);

} // namespace tcpwin
