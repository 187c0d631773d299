// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "cli/attach.hpp"
#include "bpf/log.hpp"
#include "cli/check.hpp"
#include "cli/detach.hpp"
#include "cli/explain.hpp"
#include "cli/flows.hpp"
#include "cli/options.hpp"
#include "cli/replay.hpp"
#include "cli/set.hpp"
#include "cli/status.hpp"
#include "cli/top.hpp"

namespace {

using namespace tcpwin;

// "warning: " and "error: " before what needs attention, nothing before the rest.
class Severity final : public spdlog::custom_flag_formatter {
public:
	void format(const spdlog::details::log_msg &message, const std::tm &, spdlog::memory_buf_t &out) override
	{
		std::string_view prefix = message.level == spdlog::level::warn  ? "warning: " :
					  message.level >= spdlog::level::err   ? "error: " :
					  message.level <= spdlog::level::debug ? "debug: " :
										  "";
		out.append(prefix);
	}
	std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Severity>(); }
};

// A closed standard descriptor must not become the number of something else that
// is opened: records would go there. Output refuses one that cannot be written.
void keep_standard_descriptors()
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

void log_to_stderr()
{
	auto formatter = std::make_unique<spdlog::pattern_formatter>();
	formatter->add_flag<Severity>('*').set_pattern("%n: %^%*%v%$");
	auto logger = std::make_shared<spdlog::logger>("tcpwin-agent",
						       std::make_shared<spdlog::sinks::stderr_color_sink_st>());
	logger->set_formatter(std::move(formatter));
	spdlog::set_default_logger(std::move(logger));
}

spdlog::level::level_enum level_of(Verbosity verbosity)
{
	return verbosity == Verbosity::quiet   ? spdlog::level::err :
	       verbosity == Verbosity::verbose ? spdlog::level::debug :
						 spdlog::level::info;
}

Result<Exit> run(int argc, char **argv)
{
	auto options = parse_options(argc, argv);
	if (!options)
		return tl::unexpected(options.error());
	if (auto *information = std::get_if<Information>(&*options)) {
		std::fputs(information->text.c_str(), stdout);
		return Exit::success;
	}
	if (auto *check_options = std::get_if<CheckOptions>(&*options))
		return check(*check_options);
	if (auto *explain_options = std::get_if<ExplainOptions>(&*options))
		return explain(*explain_options);
	if (auto *set_options = std::get_if<SetOptions>(&*options))
		return set(*set_options).map([] { return Exit::success; });
	if (auto *status_options = std::get_if<StatusOptions>(&*options))
		return status(*status_options);
	if (auto *flows_options = std::get_if<FlowsOptions>(&*options))
		return list_flows(*flows_options);
	if (auto *top_options = std::get_if<TopOptions>(&*options))
		return top(*top_options);
	const auto success = [] { return Exit::success; };
	if (auto *detach_options = std::get_if<DetachOptions>(&*options)) {
		spdlog::set_level(level_of(detach_options->verbosity));
		return detach(*detach_options).map(success);
	}
	if (auto *replay_options = std::get_if<ReplayOptions>(&*options)) {
		spdlog::set_level(level_of(replay_options->verbosity));
		return replay(*replay_options).map(success);
	}
	const auto &attach_options = std::get<AttachOptions>(*options);
	spdlog::set_level(level_of(attach_options.verbosity));
	return attach(attach_options).map(success);
}

} // namespace

int main(int argc, char **argv)
{
	keep_standard_descriptors();
	log_to_stderr();
	log_libbpf();
	auto result = run(argc, argv);
	if (result)
		return static_cast<int>(*result);
	spdlog::error("{}", result.error().sentence());
	return static_cast<int>(result.error().exit);
}
