// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Shows the agents' programs on the interfaces of this network namespace, whether an agent runs or not, what they
// have counted, and what was left of interfaces that were deleted. Needs CAP_SYS_ADMIN.
Result<Exit> status(const StatusOptions &options);

} // namespace tcpwin
