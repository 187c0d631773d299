// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "record/analysis.hpp"
#include "sinks/json_line.hpp"

namespace tcpwin {

// "stall", "window" and "tcp" of a side, as members of its object.
void put_analysis(Line &line, const std::optional<Analysis> &analysis);

} // namespace tcpwin
