// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Changes the settings of agents that run, or prints them.
Result<void> set(const SetOptions &options);

} // namespace tcpwin
