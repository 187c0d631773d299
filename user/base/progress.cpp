// SPDX-License-Identifier: Apache-2.0
#include "base/progress.hpp"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "base/duration.hpp"
#include "base/printable.hpp"

namespace tcpwin {
namespace {

double seconds(std::chrono::steady_clock::duration duration)
{
	return std::chrono::duration<double>(duration).count();
}

std::string left(std::uint64_t bytes, std::uint64_t size, double elapsed)
{
	if (size == 0 || bytes == 0 || bytes > size)
		return "";
	const double rest = elapsed * static_cast<double>(size - bytes) / static_cast<double>(bytes);
	return fmt::format(", {} left", format_duration(std::chrono::seconds(std::lround(rest))));
}

} // namespace

Progress::Progress(bool wanted) : on_(wanted && isatty(STDERR_FILENO)) {}

Progress::~Progress()
{
	clear();
}

void Progress::show(const std::string &name, std::uint64_t bytes, std::uint64_t size, std::uint64_t frames)
{
	const Clock::time_point now = Clock::now();
	if (name != name_) {
		name_ = name;
		file_start_ = now;
	}
	if (!on_ || now < next_)
		return;
	next_ = now + std::chrono::milliseconds(500);
	shown_ = true;
	const std::string of = size ? fmt::format(" of {:.1f}", static_cast<double>(size) / 1e6) : "";
	fmt::print(stderr, "\r\033[K{}: {:.1f}{} MB, {:.2f} M packets/s{}", printable(name),
		   static_cast<double>(bytes) / 1e6, of, static_cast<double>(frames) / seconds(now - start_) / 1e6,
		   left(bytes, size, seconds(now - file_start_)));
	std::fflush(stderr);
}

void Progress::clear()
{
	if (shown_)
		fmt::print(stderr, "\r\033[K");
	shown_ = false;
}

} // namespace tcpwin
