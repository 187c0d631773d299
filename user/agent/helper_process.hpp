// SPDX-License-Identifier: Apache-2.0
// A process that does one thing for the agent, which can no longer do it itself (privilege separation, as in OpenSSH).
//
// It receives requests through a socket. It has no other descriptors, and exits when the agent exits or is killed.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

struct HelperRole {
	std::string name; // as ps shows it, at most 15 bytes
	std::function<Result<void>()> drop_privileges;
	// Receives a request and sends the answer. False: there will be no more requests.
	std::function<bool(int socket)> answer;
};

// Returns the agent's end of a socket of type SOCK_SEQPACKET. Must be called before anything exists that the process must
// not inherit: maps would stay mapped in it.
Result<UniqueFd> start_helper(const HelperRole &role);

} // namespace tcpwin
