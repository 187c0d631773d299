// SPDX-License-Identifier: Apache-2.0
#include "explain/input.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

namespace tcpwin {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t magic_size = 6;
constexpr std::size_t longest_line = 1024 * 1024; // flow records have about 2,000 bytes
constexpr std::size_t block = 256 * 1024;

// pcap in both byte orders and resolutions, pcapng, and compression formats of captures.
constexpr std::string_view capture_starts[] = {
	"\xa1\xb2\xc3\xd4"sv,
	"\xd4\xc3\xb2\xa1"sv,
	"\xa1\xb2\x3c\x4d"sv,
	"\x4d\x3c\xb2\xa1"sv,
	"\x0a\x0d\x0d\x0a"sv,
	"\x1f\x8b"sv,
	"\x28\xb5\x2f\xfd"sv,
	"\xfd"
	"7zXZ\0"sv,
	"BZh"sv,
	"\x04\x22\x4d\x18"sv,
};

// tee(2) copies from one pipe to another without consuming the bytes.
Result<std::string> peek_pipe(int fd, const std::string &name)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail("cannot look at " + name, describe_errno(errno));
	const UniqueFd reader(ends[0]), writer(ends[1]);
	const ssize_t copied = tee(fd, writer.get(), magic_size, 0);
	if (copied < 0)
		return fail("cannot look at " + name, describe_errno(errno));
	std::string start(static_cast<std::size_t>(copied), '\0');
	if (copied > 0 && read(reader.get(), start.data(), start.size()) != copied)
		return fail("cannot look at " + name, describe_errno(errno));
	return start;
}

// The writer may have written too few bytes to decide: wait for more, unless it has closed the pipe.
Result<std::string> peek_pipe_long_enough(int fd, const std::string &name)
{
	while (true) {
		auto start = peek_pipe(fd, name);
		if (!start || start->empty() || start->size() == magic_size || start->front() == '{')
			return start;
		pollfd hangup{fd, 0, 0};
		if (poll(&hangup, 1, 20) > 0)
			return start;
	}
}

bool is_text(char character)
{
	return character == '\t' || character == '\r' || character == '\n' ||
	       static_cast<unsigned char>(character) >= 0x20;
}

} // namespace

InputKind kind_of(std::string_view start)
{
	if (start.empty())
		return InputKind::empty;
	if (std::ranges::any_of(capture_starts, [&](std::string_view magic) { return start.starts_with(magic); }))
		return InputKind::capture;
	if (start.starts_with("%dir") || start.starts_with("pktNo"))
		return InputKind::t2;
	const auto first = start.find_first_not_of(" \t\r\n");
	if (first != std::string_view::npos && start[first] == '{' && std::ranges::all_of(start, is_text))
		return InputKind::json;
	return InputKind::other;
}

Result<Input> Input::open(const std::string &path)
{
	const bool standard = path == "-";
	const std::string name = standard ? "standard input" : path;
	UniqueFd fd(standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	struct stat status{};
	if (!fd || fstat(fd.get(), &status) != 0)
		return fail("cannot open " + name, describe_errno(errno));
	if (S_ISDIR(status.st_mode))
		return fail("cannot read " + name, "it is a directory");
	return Input(std::move(fd), name);
}

Result<InputKind> Input::kind() const
{
	struct stat status{};
	if (fstat(fd_.get(), &status) != 0)
		return fail("cannot look at " + name_, describe_errno(errno));
	if (S_ISFIFO(status.st_mode))
		return peek_pipe_long_enough(fd_.get(), name_).map(kind_of);
	if (!S_ISREG(status.st_mode))
		return InputKind::json;
	char start[magic_size];
	const ssize_t got = pread(fd_.get(), start, sizeof(start), std::max<off_t>(lseek(fd_.get(), 0, SEEK_CUR), 0));
	if (got < 0)
		return fail("cannot read " + name_, describe_errno(errno));
	return kind_of({start, static_cast<std::size_t>(got)});
}

// Whether more was read.
Result<bool> LineReader::fill()
{
	buffer_.erase(0, begin_);
	scanned_ -= begin_;
	begin_ = 0;
	const std::size_t before = buffer_.size();
	if (before > longest_line)
		return fail(fmt::format("cannot read line {} of {}", number_ + 1, input_.name()),
			    "it has more than a million bytes", "flow records are JSON lines of tcpwin-agent");
	buffer_.resize(before + block);
	ssize_t got;
	do
		got = read(input_.fd(), buffer_.data() + before, block);
	while (got < 0 && errno == EINTR);
	buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
	if (got < 0)
		return fail(fmt::format("cannot read line {} of {}", number_ + 1, input_.name()),
			    describe_errno(errno));
	return got > 0;
}

Result<std::optional<std::string_view>> LineReader::next()
{
	std::size_t end;
	while ((end = buffer_.find('\n', scanned_)) == std::string::npos && !at_end_) {
		scanned_ = buffer_.size();
		auto more = TRY(fill());
		at_end_ = !more;
	}
	ended_ = end != std::string::npos;
	if (!ended_)
		end = buffer_.size();
	if (end == begin_ && !ended_)
		return std::nullopt;
	const std::string_view line(buffer_.data() + begin_, end - begin_);
	begin_ = scanned_ = end + (ended_ ? 1 : 0);
	number_++;
	return line;
}

} // namespace tcpwin
