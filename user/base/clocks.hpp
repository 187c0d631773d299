// SPDX-License-Identifier: Apache-2.0
// The clock of the kernel's records, wall-clock time, and times as text.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tcpwin {

// Nanoseconds since 1970, UTC.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// CLOCK_BOOTTIME in nanoseconds, the clock of the kernel's records.
std::uint64_t boot_clock_ns();

// CLOCK_REALTIME - CLOCK_BOOTTIME, now.
std::chrono::nanoseconds wall_clock_offset();

// RFC 3339, UTC, nanoseconds: "2026-01-31T12:00:00.000000001Z".
std::string format_time(WallTime time);

// format_time up to and including the point before the fraction. Valid until the thread's next call.
std::string_view format_second(WallTime time);

} // namespace tcpwin
