// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <sys/types.h>

#include "base/error.hpp"
#include "net/interface.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

// Says "I watch this interface" to other agents, as long as it lives: a listening socket of
// abstract name (unix(7)), which belongs to the network namespace, needs no rights and no
// cleaning up after a crash, and tells who held it when it began to listen.
class Presence {
public:
	// Error: another agent watches the interface, by process id.
	static Result<Presence> claim(const Interface &interface);
	// The process that watches the interface, of root or of this user; nothing if none does.
	static std::optional<pid_t> holder(unsigned ifindex);
	// "This process is an agent": what it claims after it has given up its user is believed then.
	static Presence of_process();

private:
	explicit Presence(UniqueFd socket) : socket_(std::move(socket)) {}

	UniqueFd socket_; // none if a stranger has taken the name
};

} // namespace tcpwin
