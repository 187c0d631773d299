// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "error.hpp"
#include "options.hpp"

namespace tcpwin {

// Changes the settings of agents that run, or prints them.
Result<void> set(const SetOptions &options);

} // namespace tcpwin
