// SPDX-License-Identifier: Apache-2.0
#include "sinks/output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

namespace tcpwin {

namespace {

constexpr auto standard_output = "standard output";

// Offset of the end of the last complete line: a writer that was killed may have left a partial line.
off_t end_of_last_line(const std::string &path, off_t size)
{
	const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	char block[4096];
	while (size > 0) {
		const auto length = static_cast<std::size_t>(std::min<off_t>(size, sizeof(block)));
		const off_t start = size - static_cast<off_t>(length);
		if (pread(file.get(), block, length, start) != static_cast<ssize_t>(length))
			return size;
		for (std::size_t i = length; i > 0; i--)
			if (block[i - 1] == '\n')
				return start + static_cast<off_t>(i);
		size = start;
	}
	return 0;
}

// Opening a FIFO blocks until it has a reader. Nothing is attached yet, so SIGINT and SIGTERM, which Signals has
// blocked, may end the process meanwhile.
int open_for_writing(const std::string &path, bool append)
{
	struct stat status{};
	const bool waits = stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
	sigset_t stopping, before;
	sigemptyset(&stopping);
	sigaddset(&stopping, SIGINT);
	sigaddset(&stopping, SIGTERM);
	if (waits)
		pthread_sigmask(SIG_UNBLOCK, &stopping, &before);
	const int fd = ::open(path.c_str(), O_WRONLY | (append ? O_APPEND : O_TRUNC) | O_CREAT | O_CLOEXEC, 0644);
	const int error = errno;
	if (waits)
		pthread_sigmask(SIG_SETMASK, &before, nullptr);
	errno = error;
	return fd;
}

} // namespace

Result<Output> Output::open(const std::string &path, bool append)
{
	const bool standard = path == "-";
	const std::string name = standard ? standard_output : path;
	UniqueFd fd(standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open_for_writing(path, append));
	struct stat status{};
	if (fd && (fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY)
		return fail("cannot write to " + name, "it is closed", "choose a file with --output");
	if (!fd || fstat(fd.get(), &status) != 0)
		return fail("cannot open " + name + " for writing", describe_errno(errno),
			    standard ? "" : "choose another file");
	off_t size = 0;
	if (append && !standard && S_ISREG(status.st_mode)) {
		size = end_of_last_line(path, status.st_size);
		if (size != status.st_size && ftruncate(fd.get(), size) != 0)
			return fail("cannot continue writing to " + name, describe_errno(errno));
	}
	const bool has_reader = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(fd.get());
	return Output(std::move(fd), name, has_reader, size > 0);
}

// The file may already contain lines of another writer; see is_continued().
Result<void> Output::continue_in(UniqueFd fd)
{
	struct stat status{};
	if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
		return fail("cannot reopen " + name_, "it is no longer a regular file");
	fd_ = std::move(fd);
	continued_ = status.st_size > 0;
	return {};
}

bool Output::can_be_reopened() const
{
	struct stat status{};
	return name_ != standard_output && fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
}

std::optional<FilePlace> Output::place() const
{
	struct stat status{};
	if (fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode))
		return std::nullopt;
	return FilePlace{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size)};
}

void Output::cut(std::uint64_t offset)
{
	static_cast<void>(
		ftruncate(fd_.get(), static_cast<off_t>(offset))); // on failure, the remainder is written twice
}

// For a pipe, POLLOUT guarantees that PIPE_BUF bytes can be written without blocking.
Result<void> Output::wait_for_reader(Signals &signals)
{
	while (true) {
		pollfd fds[] = {{fd_.get(), POLLOUT, 0}, {signals.stop_fd(), POLLIN, 0}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail("cannot wait for " + name_, describe_errno(errno));
		if (fds[0].revents)
			return {};
		signals.collect();
		if (signals.insisted())
			return fail("cannot write to " + name_, "its reader is blocked, and a second signal arrived");
	}
}

Result<void> Output::write(std::string_view text, Signals &signals)
{
	while (!text.empty()) {
		if (has_reader_)
			TRY(wait_for_reader(signals));
		const std::size_t size = has_reader_ ? std::min<std::size_t>(text.size(), PIPE_BUF) : text.size();
		const ssize_t written = ::write(fd_.get(), text.data(), size);
		if (written >= 0) {
			text.remove_prefix(static_cast<std::size_t>(written));
			continue;
		}
		if (errno == EINTR || errno == EAGAIN)
			continue;
		const char *advice = errno == ENOSPC ? "free space, or choose another file" :
				     errno == EPIPE  ? "its reader closed it" :
						       "";
		return fail("cannot write records to " + name_, describe_errno(errno), advice);
	}
	return {};
}

} // namespace tcpwin
