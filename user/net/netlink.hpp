// SPDX-License-Identifier: Apache-2.0
// A netlink socket of libnl, closed with the object.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <netlink/msg.h>
#include <netlink/socket.h>

#include "base/error.hpp"

namespace tcpwin {

struct NetlinkDeleter {
	void operator()(nl_sock *socket) const { nl_socket_free(socket); }
	void operator()(nl_msg *message) const { nlmsg_free(message); }
};

using NetlinkSocket = std::unique_ptr<nl_sock, NetlinkDeleter>;
using NetlinkMessage = std::unique_ptr<nl_msg, NetlinkDeleter>;

inline tl::unexpected<Error> netlink_failure(std::string what, int error)
{
	return fail(std::move(what), nl_geterror(error));
}

// protocol: NETLINK_ROUTE, ...
Result<NetlinkSocket> open_netlink(int protocol);

// Takes one message of an answer.
using TakeMessage = std::function<void(nlmsghdr *)>;

// Passes all messages of the answer to take. Returns 0 or libnl's error (negative). The messages of an interrupted dump
// (-NLE_DUMP_INTR) are passed as well.
int receive_answer(nl_sock *socket, const TakeMessage &take);

} // namespace tcpwin
