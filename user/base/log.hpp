// SPDX-License-Identifier: Apache-2.0
// Messages on standard error. spdlog writes them; only log.cpp includes it, because it is slow to compile.
#pragma once

#include <string>
#include <utility>

#include <fmt/core.h>

namespace tcpwin {

enum class Verbosity { quiet, normal, verbose };

namespace log {

enum class Level { debug, info, warning, error };

// Messages before this call have spdlog's default format.
void start();
// quiet: errors only; verbose: also debug messages.
void set_verbosity(Verbosity verbosity);
bool is_verbose();

void write(Level level, const std::string &text);

template <typename... T> void debug(fmt::format_string<T...> format, T &&...arguments)
{
	if (is_verbose())
		write(Level::debug, fmt::format(format, std::forward<T>(arguments)...));
}
template <typename... T> void info(fmt::format_string<T...> format, T &&...arguments)
{
	write(Level::info, fmt::format(format, std::forward<T>(arguments)...));
}
template <typename... T> void warning(fmt::format_string<T...> format, T &&...arguments)
{
	write(Level::warning, fmt::format(format, std::forward<T>(arguments)...));
}
template <typename... T> void error(fmt::format_string<T...> format, T &&...arguments)
{
	write(Level::error, fmt::format(format, std::forward<T>(arguments)...));
}

} // namespace log
} // namespace tcpwin
