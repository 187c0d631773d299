// SPDX-License-Identifier: Apache-2.0
// Asks the kernel about one TCP socket of this network namespace (sock_diag(7)). Needs no capability.
#pragma once

#include <cstdint>
#include <optional>

#include <tcpwin/types.h>

#include "net/netlink.hpp"
#include "record/local_program.hpp"

namespace tcpwin {

class SocketDiag {
public:
	static Result<SocketDiag> open();

	// The socket of an endpoint of the key. cookie: 0 for any. Nothing if there is none, or another one, or only what is
	// left of it (TIME-WAIT).
	std::optional<SocketState> find(const tcpwin_key &key, unsigned endpoint, std::uint64_t cookie) const;

private:
	explicit SocketDiag(NetlinkSocket socket) : socket_(std::move(socket)) {}
	NetlinkSocket socket_;
};

} // namespace tcpwin
