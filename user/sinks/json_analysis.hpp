// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "record/analysis.hpp"
#include "sinks/json_line.hpp"

namespace tcpwin {

// Members "stall", "window" and "tcp" of a side.
void put_analysis(JsonLine &line, const std::optional<Analysis> &analysis);

} // namespace tcpwin
