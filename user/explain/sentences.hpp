// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "explain/connections.hpp"

namespace tcpwin {

// One paragraph per stalled endpoint, the longest stall first, at most top of them.
std::string format_summary(const Connections &connections, std::size_t top);

} // namespace tcpwin
