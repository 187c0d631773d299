// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <fmt/format.h>

#include "analysis.hpp"

namespace tcpwin {

// Seconds with nine decimals.
void put_seconds(fmt::appender out, std::chrono::nanoseconds duration);

// "stall", "window" and "tcp" of a side, as members of its object.
void put_analysis(fmt::appender out, const std::optional<Analysis> &analysis);

} // namespace tcpwin
