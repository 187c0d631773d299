// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

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

// A closed standard descriptor must not become the number of something else that
// is opened: records would go there. Output refuses one that cannot be written.
void keep_standard_descriptors()
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

Result<Exit> run(int argc, char **argv)
{
	auto options = TRY(parse_options(argc, argv));
	if (auto *information = std::get_if<Information>(&options)) {
		std::fputs(information->text.c_str(), stdout);
		return Exit::success;
	}
	if (auto *check_options = std::get_if<CheckOptions>(&options))
		return check(*check_options);
	if (auto *explain_options = std::get_if<ExplainOptions>(&options))
		return explain(*explain_options);
	if (auto *set_options = std::get_if<SetOptions>(&options))
		return set(*set_options).map([] { return Exit::success; });
	if (auto *status_options = std::get_if<StatusOptions>(&options))
		return status(*status_options);
	if (auto *flows_options = std::get_if<FlowsOptions>(&options))
		return list_flows(*flows_options);
	if (auto *top_options = std::get_if<TopOptions>(&options))
		return top(*top_options);
	const auto success = [] { return Exit::success; };
	if (auto *detach_options = std::get_if<DetachOptions>(&options)) {
		log::set_verbosity(detach_options->verbosity);
		return detach(*detach_options).map(success);
	}
	if (auto *replay_options = std::get_if<ReplayOptions>(&options)) {
		log::set_verbosity(replay_options->verbosity);
		return replay(*replay_options).map(success);
	}
	const auto &attach_options = std::get<AttachOptions>(options);
	log::set_verbosity(attach_options.verbosity);
	return attach(attach_options).map(success);
}

} // namespace

int main(int argc, char **argv)
{
	keep_standard_descriptors();
	log::start();
	log_libbpf();
	auto result = run(argc, argv);
	if (result)
		return static_cast<int>(*result);
	log::error("{}", result.error().sentence());
	return static_cast<int>(result.error().exit);
}
