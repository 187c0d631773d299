// SPDX-License-Identifier: Apache-2.0
#include "agent/helper_process.hpp"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tcpwin {
namespace {

constexpr int socket_in_helper = 3;

// Closes all of the agent's descriptors but the socket. The standard ones become /dev/null, so that they keep no pipe
// or terminal open.
bool keep_only(int socket)
{
	const int null = ::open("/dev/null", O_RDWR);
	if (null < 0)
		return false;
	for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
		if (dup2(null, standard) < 0)
			return false;
	if (socket != socket_in_helper && dup2(socket, socket_in_helper) < 0)
		return false;
	return close_range(socket_in_helper + 1, ~0U, 0) == 0;
}

// Ignores signals that a terminal or service manager sends to all processes; the agent handles them.
[[noreturn]] void serve(const HelperRole &role, int socket)
{
	prctl(PR_SET_NAME, role.name.c_str());
	for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE})
		std::signal(signal, SIG_IGN);
	if (!keep_only(socket))
		_exit(1);
	static_cast<void>(role.drop_privileges()); // after an error, it can still do its work
	while (role.answer(socket_in_helper)) {}
	_exit(0);
}

} // namespace

Result<UniqueFd> start_helper(const HelperRole &role)
{
	const std::string what = "cannot start " + role.name;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(what, describe_errno(errno));
	UniqueFd ours(pair[0]), theirs(pair[1]);
	const pid_t process = fork();
	if (process < 0)
		return fail(what, describe_errno(errno));
	if (process == 0)
		serve(role, theirs.get());
	return ours;
}

} // namespace tcpwin
