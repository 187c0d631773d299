// SPDX-License-Identifier: Apache-2.0
#include "base/signals.hpp"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>

namespace tcpwin {
namespace {

bool is_ignored(int number)
{
	struct sigaction action{};
	return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool next(const UniqueFd &fd, signalfd_siginfo &info)
{
	return read(fd.get(), &info, sizeof(info)) == sizeof(info);
}

} // namespace

UniqueFd watch_signals(std::initializer_list<int> numbers)
{
	sigset_t set;
	sigemptyset(&set);
	for (int number : numbers)
		sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, nullptr);
	return UniqueFd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

Result<Signals> Signals::create(Taken taken)
{
	std::signal(SIGPIPE, SIG_IGN);
	UniqueFd stop_fd = watch_signals({SIGINT, SIGTERM});
	UniqueFd request_fd = taken == Taken::stop   ? watch_signals({}) :
			      taken == Taken::report ? watch_signals({SIGUSR1}) :
						       watch_signals({SIGUSR1, SIGHUP});
	if (!stop_fd || !request_fd)
		return fail("cannot receive signals", describe_errno(errno));
	return Signals(std::move(stop_fd), std::move(request_fd), is_ignored(SIGHUP));
}

void Signals::collect()
{
	signalfd_siginfo info;
	while (next(stop_fd_, info))
		stops_++;
	while (next(request_fd_, info)) {
		const bool terminal_gone = info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL;
		if (info.ssi_signo == SIGUSR1)
			report_ = true;
		else if (!terminal_gone)
			reopen_ = true;
		else if (!keeps_without_terminal_)
			stops_++;
	}
}

} // namespace tcpwin
