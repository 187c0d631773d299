// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Reads captures and writes the records that attach would have written, had the
// frames arrived at their recorded times. What was read before an error is written.
Result<void> replay(const ReplayOptions &options);

} // namespace tcpwin
