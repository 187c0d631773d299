// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.hpp"

#include <netlink/netlink.h>

namespace tcpwin {
namespace {

int on_valid(nl_msg *message, void *take)
{
	(*static_cast<const TakeMessage *>(take))(nlmsg_hdr(message));
	return NL_OK;
}

} // namespace

Result<NetlinkSocket> open_netlink(int protocol)
{
	constexpr auto what = "cannot query the kernel about interfaces";
	NetlinkSocket socket(nl_socket_alloc());
	if (!socket)
		return netlink_failure(what, -NLE_NOMEM);
	if (int error = nl_connect(socket.get(), protocol))
		return netlink_failure(what, error);
	return socket;
}

int receive_answer(nl_sock *socket, const TakeMessage &take)
{
	nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, on_valid, const_cast<TakeMessage *>(&take));
	const int error = nl_recvmsgs_default(socket);
	return error < 0 ? error : 0;
}

} // namespace tcpwin
