// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tcpwin {

// Parses a time span with the units of systemd.time(7): "2.2s", "1ms", "5min 20s", "1h30m". Exact to the nanosecond,
// above 0, at most 100 years. The error is a clause that describes what is wrong with the text.
Result<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text);

// The shortest form that parse_duration reads back: "2.2s", "1ms", "1min 30s".
std::string format_duration(std::chrono::nanoseconds duration);

} // namespace tcpwin
