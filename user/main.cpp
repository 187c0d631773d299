// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <new>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.hpp"
#include "bpf/log.hpp"
#include "cli/commands.hpp"

namespace {

using namespace tcpwin;

// A descriptor that is opened later must not get the number of a closed standard one: records
// would be written to it. Output refuses a descriptor that cannot be written.
void keep_standard_descriptors()
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

Result<Exit> run(int argc, char **argv)
{
	const auto parsed = TRY(parse_command_line(all_commands(), argc, argv));
	if (const auto *information = std::get_if<Information>(&parsed)) {
		std::fputs(information->text.c_str(), stdout);
		return Exit::success;
	}
	return std::get<Run>(parsed)();
}

} // namespace

int main(int argc, char **argv)
{
	keep_standard_descriptors();
	log::start();
	log_libbpf();
	try {
		auto result = run(argc, argv);
		if (result)
			return static_cast<int>(*result);
		log::error("{}", result.error().sentence());
		return static_cast<int>(result.error().exit);
	} catch (const std::bad_alloc &) {
		log::error("there is not enough memory (ulimit, cgroup or machine)");
		return static_cast<int>(Exit::failure);
	}
}
