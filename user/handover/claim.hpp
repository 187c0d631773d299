// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>

#include <sys/types.h>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/interface.hpp"

namespace tcpwin {

// Claims an interface for this agent as long as the object lives, and needs no cleanup after a crash.
//
// Root locks a byte of a file in /run that nobody else can open. Agents of other users, and those that do not share /run,
// have a listening socket with an abstract name (unix(7)): it belongs to the network namespace and needs no permission,
// and it carries the credentials that the process had when it called listen(2). Root has both, so that they find it.
class Claim {
public:
	Claim(Claim &&other) noexcept : socket_(std::move(other.socket_)), locked_(std::exchange(other.locked_, 0)) {}
	Claim &operator=(Claim &&other) noexcept
	{
		std::swap(socket_, other.socket_);
		std::swap(locked_, other.locked_);
		return *this;
	}
	~Claim();

	// Error: another agent holds the interface; the message names its PID.
	static Result<Claim> of_interface(const Interface &interface);
	// PID of the agent, run by root or this user, that holds the interface; nullopt: none.
	static std::optional<pid_t> holder(unsigned ifindex);
	// Marks this process as an agent, so that claims made after dropping root are trusted.
	static Claim of_process();

private:
	Claim(UniqueFd socket, unsigned locked);

	UniqueFd socket_;     // empty if an unprivileged process has taken the name
	unsigned locked_ = 0; // index of the interface, if root's lock is held
};

} // namespace tcpwin
