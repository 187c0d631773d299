// SPDX-License-Identifier: Apache-2.0
#include "agent/reopen_helper.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/helper_process.hpp"
#include "agent/privileges.hpp"

namespace tcpwin {
namespace {

constexpr int answer_timeout_ms = 10'000; // a hanging file system must not stop the agent
constexpr mode_t mode = 0644;

// An answer: errno; if 0, also a descriptor.
struct Message {
	std::int32_t error = 0;
	alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
	iovec data{&error, sizeof(error)};
	msghdr header{};

	Message()
	{
		header.msg_iov = &data;
		header.msg_iovlen = 1;
		header.msg_control = control;
		header.msg_controllen = sizeof(control);
	}
};

void send_answer(int socket, int error, const UniqueFd &fd)
{
	Message answer;
	answer.error = error;
	if (fd) {
		cmsghdr *rights = CMSG_FIRSTHDR(&answer.header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		const int number = fd.get();
		std::memcpy(CMSG_DATA(rights), &number, sizeof(number));
	} else {
		answer.header.msg_controllen = 0;
	}
	sendmsg(socket, &answer.header, MSG_NOSIGNAL); // if the agent has exited, the next recv detects it
}

std::optional<std::int32_t> receive_answer(int socket, UniqueFd &fd)
{
	Message answer;
	if (recvmsg(socket, &answer.header, MSG_CMSG_CLOEXEC) != sizeof(answer.error))
		return std::nullopt;
	const cmsghdr *rights = CMSG_FIRSTHDR(&answer.header);
	if (rights && rights->cmsg_type == SCM_RIGHTS) {
		int number = -1;
		std::memcpy(&number, CMSG_DATA(rights), sizeof(number));
		fd = UniqueFd(number);
	}
	return answer.error;
}

// O_NONBLOCK: opening a FIFO that replaced the file would block until it has a reader.
int open_file(const ReopenHelper::File &file)
{
	const int flags = file.for_appending ? O_WRONLY | O_APPEND | O_CREAT : O_RDONLY;
	return ::open(file.path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
}

void answer(const std::vector<ReopenHelper::File> &files, std::size_t number, int socket)
{
	if (number >= files.size())
		return send_answer(socket, EINVAL, UniqueFd());
	const UniqueFd fd(open_file(files[number]));
	struct stat status{};
	if (!fd || fstat(fd.get(), &status) != 0)
		return send_answer(socket, errno, UniqueFd());
	if (!S_ISREG(status.st_mode))
		return send_answer(socket, EINVAL, UniqueFd());
	send_answer(socket, 0, fd);
}

// False: the agent has exited.
bool answer_request(const std::vector<ReopenHelper::File> &files, int socket)
{
	std::uint8_t number = 0;
	const ssize_t got = recv(socket, &number, sizeof(number), 0);
	if (got == sizeof(number))
		answer(files, number, socket);
	return got == sizeof(number) || (got < 0 && errno == EINTR);
}

} // namespace

Result<ReopenHelper> ReopenHelper::start(std::vector<File> files)
{
	if (files.empty())
		return ReopenHelper({}, UniqueFd());
	auto socket = TRY(start_helper({.name = "tcpwin-files",
					.drop_privileges = drop_privileges_of_reopen_helper,
					.answer = [&files](int socket) { return answer_request(files, socket); }}));
	return ReopenHelper(std::move(files), std::move(socket));
}

Result<UniqueFd> ReopenHelper::open(const std::string &path)
{
	const std::string what = "cannot reopen " + path;
	const auto file = std::ranges::find(files_, path, &File::path);
	if (file == files_.end())
		return fail(what, "it was not a regular file when the agent started");
	if (!socket_)
		return fail(what, "the file helper exited", "restart the agent");
	return request(static_cast<std::uint8_t>(file - files_.begin()), what);
}

// After a timeout the helper is not used again: a late answer would be taken as the answer to the next request.
Result<UniqueFd> ReopenHelper::request(std::uint8_t number, const std::string &what)
{
	pollfd answer{socket_.get(), POLLIN, 0};
	const bool asked = send(socket_.get(), &number, sizeof(number), MSG_NOSIGNAL) == sizeof(number);
	const bool came = asked && poll(&answer, 1, answer_timeout_ms) == 1;
	UniqueFd fd;
	const auto error = came ? receive_answer(socket_.get(), fd) : std::nullopt;
	if (!error) {
		socket_ = UniqueFd();
		return fail(what, asked && !came ? "the file helper did not answer in time" : "the file helper exited",
			    "restart the agent");
	}
	if (*error == EINVAL)
		return fail(what, "it is not a regular file");
	if (*error || !fd)
		return fail(what, describe_errno(*error));
	return fd;
}

} // namespace tcpwin
