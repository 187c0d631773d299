// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Lists the flows that have not ended. Needs CAP_SYS_ADMIN.
Result<Exit> list_flows(const FlowsOptions &options);

} // namespace tcpwin
