// SPDX-License-Identifier: Apache-2.0
#include "sinks/output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

namespace tcpwin {

Result<Output> Output::open(const std::string &path)
{
	const bool standard = path == "-";
	const std::string name = standard ? "standard output" : path;
	UniqueFd fd(standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) :
			       ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	struct stat status {};
	if (fd && (fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY)
		return fail("cannot write to " + name, "it is closed", "choose a file with --output");
	if (!fd || fstat(fd.get(), &status) != 0)
		return fail("cannot open " + name + " for writing", describe_errno(errno),
			    standard ? "" : "choose another file with --output");
	const bool has_reader = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(fd.get());
	return Output(std::move(fd), name, has_reader);
}

// For a pipe, POLLOUT promises that PIPE_BUF bytes go in without waiting.
Result<void> Output::wait_for_reader(StopSignal &stop)
{
	while (true) {
		pollfd fds[] = {{fd_.get(), POLLOUT, 0}, {stop.fd(), POLLIN, 0}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail("cannot wait for " + name_, describe_errno(errno));
		if (fds[0].revents)
			return {};
		stop.collect();
		if (stop.insisted())
			return fail("cannot write to " + name_, "its reader does not read, and a second signal came");
	}
}

Result<void> Output::write(std::string_view text, StopSignal &stop)
{
	while (!text.empty()) {
		if (has_reader_)
			if (auto ready = wait_for_reader(stop); !ready)
				return ready;
		const std::size_t size = has_reader_ ? std::min<std::size_t>(text.size(), PIPE_BUF) : text.size();
		const ssize_t written = ::write(fd_.get(), text.data(), size);
		if (written >= 0) {
			text.remove_prefix(static_cast<std::size_t>(written));
			continue;
		}
		if (errno == EINTR || errno == EAGAIN)
			continue;
		const char *advice = errno == ENOSPC ? "make room, or choose another place with --output" :
				     errno == EPIPE  ? "its reader has gone" :
						       "";
		return fail("cannot write records to " + name_, describe_errno(errno), advice);
	}
	return {};
}

} // namespace tcpwin
