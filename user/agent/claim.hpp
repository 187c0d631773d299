// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>

#include <sys/types.h>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/interface.hpp"

namespace tcpwin {

// Claims an interface for this agent as long as the object lives: a listening socket with an abstract name (unix(7)).
// Such a name belongs to the network namespace, needs no permission and no cleanup after a crash, and the socket
// carries the credentials that the process had when it called listen(2).
class Claim {
public:
	// Error: another agent holds the interface; the message names its PID.
	static Result<Claim> of_interface(const Interface &interface);
	// PID of the agent, run by root or this user, that holds the interface; nullopt: none.
	static std::optional<pid_t> holder(unsigned ifindex);
	// Marks this process as an agent, so that claims made after dropping root are trusted.
	static Claim of_process();

private:
	explicit Claim(UniqueFd socket) : socket_(std::move(socket)) {}

	UniqueFd socket_; // empty if an unprivileged process has taken the name
};

} // namespace tcpwin
