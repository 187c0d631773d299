// SPDX-License-Identifier: Apache-2.0
#include "base/clocks.hpp"

#include <ctime>

#include <fmt/chrono.h>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

nanoseconds clock_now(clockid_t clock)
{
	timespec now{};
	clock_gettime(clock, &now);
	return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

} // namespace

std::uint64_t boot_clock_ns()
{
	return static_cast<std::uint64_t>(clock_now(CLOCK_BOOTTIME).count());
}

// The thread may be preempted between two readings: the shortest of several attempts is the most accurate.
nanoseconds wall_clock_offset()
{
	nanoseconds shortest = nanoseconds::max(), offset{0};
	for (int i = 0; i < 5; i++) {
		const nanoseconds before = clock_now(CLOCK_BOOTTIME), wall = clock_now(CLOCK_REALTIME);
		const nanoseconds took = clock_now(CLOCK_BOOTTIME) - before;
		if (took < shortest) {
			shortest = took;
			offset = wall - (before + took / 2);
		}
	}
	return offset;
}

// Records come in bursts within one second, and calendar conversions are slow, so the last second's text is kept.
std::string_view format_second(WallTime time)
{
	thread_local std::chrono::sys_seconds last{std::chrono::seconds(-1)};
	thread_local std::string text;

	const auto whole = std::chrono::floor<std::chrono::seconds>(time);
	if (whole != last) {
		last = whole;
		text = fmt::format("{:%Y-%m-%dT%H:%M:%S}.", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)));
	}
	return text;
}

std::string format_time(WallTime time)
{
	const auto second = std::chrono::floor<std::chrono::seconds>(time);
	return fmt::format("{}{:09}Z", format_second(time), (time - second).count());
}

} // namespace tcpwin
