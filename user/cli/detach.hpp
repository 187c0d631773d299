// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Ends what persistent agents left attached: detaches, writes the flows that were left, and removes the pins.
// Error: an agent still runs, or there is nothing on an interface that was named.
Result<void> detach(const DetachOptions &options);

} // namespace tcpwin
