// SPDX-License-Identifier: Apache-2.0
#include "stop_signal.hpp"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>

namespace tcpwin {

Result<StopSignal> StopSignal::create()
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, nullptr);
	std::signal(SIGPIPE, SIG_IGN);
	UniqueFd fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	if (!fd)
		return fail("cannot watch for signals", describe_errno(errno));
	return StopSignal(std::move(fd));
}

void StopSignal::collect()
{
	signalfd_siginfo info;
	while (read(fd_.get(), &info, sizeof(info)) == sizeof(info))
		count_++;
}

} // namespace tcpwin
