// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <memory>
#include <string_view>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/printable.hpp"

namespace tcpwin::log {
namespace {

// The severity as a prefix; none for informational messages.
class Severity final : public spdlog::custom_flag_formatter {
public:
	void format(const spdlog::details::log_msg &message, const std::tm &, spdlog::memory_buf_t &out) override
	{
		const std::string_view prefix = message.level == spdlog::level::warn  ? "warning: " :
						message.level >= spdlog::level::err   ? "error: " :
						message.level <= spdlog::level::debug ? "debug: " :
											"";
		out.append(prefix);
	}
	std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Severity>(); }
};

spdlog::level::level_enum spdlog_level(Level level)
{
	switch (level) {
	case Level::debug:
		return spdlog::level::debug;
	case Level::info:
		return spdlog::level::info;
	case Level::warning:
		return spdlog::level::warn;
	case Level::error:
		break;
	}
	return spdlog::level::err;
}

} // namespace

void start()
{
	auto formatter = std::make_unique<spdlog::pattern_formatter>();
	formatter->add_flag<Severity>('*').set_pattern("%n: %^%*%v%$");
	auto logger = std::make_shared<spdlog::logger>("tcpwin-agent",
						       std::make_shared<spdlog::sinks::stderr_color_sink_st>());
	logger->set_formatter(std::move(formatter));
	spdlog::set_default_logger(std::move(logger));
}

void set_verbosity(Verbosity verbosity)
{
	spdlog::set_level(verbosity == Verbosity::quiet   ? spdlog::level::err :
			  verbosity == Verbosity::verbose ? spdlog::level::debug :
							    spdlog::level::info);
}

bool is_verbose()
{
	return spdlog::should_log(spdlog::level::debug);
}

void write(Level level, const std::string &text)
{
	// Only the verifier's log has several lines.
	const std::string safe = escape_controls(text, level == Level::debug ? "\n\t" : "");
	spdlog::log(spdlog_level(level), std::string_view(safe));
}

} // namespace tcpwin::log
