// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup_helper.hpp"

#include <cerrno>
#include <climits>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include "agent/helper_process.hpp"
#include "agent/privileges.hpp"
#include "attribution/cgroups.hpp"

namespace tcpwin {
namespace {

constexpr int answer_timeout_ms = 1000;

// The answer to an ID is its path; a single zero byte if it has none.
bool answer_request(CgroupTree &tree, int socket)
{
	std::uint64_t id = 0;
	const ssize_t got = recv(socket, &id, sizeof(id), 0);
	if (got != sizeof(id))
		return got < 0 && errno == EINTR;
	const std::string path = tree.find(id).value_or(std::string(1, '\0'));
	send(socket, path.data(), path.size(), MSG_NOSIGNAL); // if the agent has exited, the next recv detects it
	return true;
}

} // namespace

Result<CgroupHelper> CgroupHelper::start()
{
	const std::string mount = find_cgroup2();
	if (mount.empty())
		return CgroupHelper(UniqueFd());
	CgroupTree tree(mount);
	auto socket = TRY(start_helper({.name = "tcpwin-cgroups",
					.drop_privileges = [&] { return drop_privileges_of_cgroup_helper(mount); },
					.answer = [&](int socket) { return answer_request(tree, socket); }}));
	return CgroupHelper(std::move(socket));
}

std::optional<std::string> CgroupHelper::find(std::uint64_t id)
{
	if (!socket_)
		return std::nullopt;
	char path[PATH_MAX];
	pollfd answer{socket_.get(), POLLIN, 0};
	const bool came = send(socket_.get(), &id, sizeof(id), MSG_NOSIGNAL) == sizeof(id) &&
			  poll(&answer, 1, answer_timeout_ms) == 1;
	const ssize_t got = came ? recv(socket_.get(), path, sizeof(path), 0) : -1;
	if (got <= 0) {
		socket_ = UniqueFd(); // a late answer would be taken for the next one
		return std::nullopt;
	}
	return path[0] ? std::optional(std::string(path, static_cast<std::size_t>(got))) : std::nullopt;
}

} // namespace tcpwin
