// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tcpwin {

// A time span with units as systemd.time(7) writes them: "2.2s", "1ms",
// "5min 20s", "1h30m". Exact to the nanosecond, at most 100 years, above 0.
// The error is a clause that says what is wrong with the text.
Result<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text);

// The shortest form that parse_duration reads back: "2.2s", "1ms", "1min 30s".
std::string format_duration(std::chrono::nanoseconds duration);

} // namespace tcpwin
