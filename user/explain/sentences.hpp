// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "explain/connections.hpp"

namespace tcpwin {

// Paragraphs of plain sentences, the worst stall first, at most top of them.
std::string tell(const Connections &connections, std::size_t top);

} // namespace tcpwin
