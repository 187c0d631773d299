// SPDX-License-Identifier: Apache-2.0
#include "net/xdp_features.hpp"

#include <cstdint>
#include <optional>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "net/netlink.hpp"

namespace tcpwin {
namespace {

// NETDEV_CMD_DEV_GET and so on of linux/netdev.h, which Linux 6.3 introduced; Debian 12's headers are from 6.1.
constexpr std::uint8_t netdev_cmd_dev_get = 1;
constexpr std::uint8_t netdev_version = 1;
constexpr int netdev_a_dev_ifindex = 1;
constexpr int netdev_a_dev_xdp_features = 3;

NetlinkMessage make_request(int family, unsigned ifindex)
{
	NetlinkMessage request(nlmsg_alloc());
	if (!request ||
	    !genlmsg_put(request.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, netdev_cmd_dev_get, netdev_version) ||
	    nla_put_u32(request.get(), netdev_a_dev_ifindex, ifindex) != 0)
		return nullptr;
	return request;
}

std::optional<std::uint64_t> features_in(nlmsghdr *answer)
{
	nlattr *attributes[netdev_a_dev_xdp_features + 1];
	nla_policy policy[netdev_a_dev_xdp_features + 1] = {};
	policy[netdev_a_dev_xdp_features].type = NLA_U64;
	if (genlmsg_parse(answer, 0, attributes, netdev_a_dev_xdp_features, policy) != 0 ||
	    !attributes[netdev_a_dev_xdp_features])
		return std::nullopt;
	return nla_get_u64(attributes[netdev_a_dev_xdp_features]);
}

} // namespace

Result<std::uint64_t> xdp_features(unsigned ifindex)
{
	constexpr auto what = "cannot query XDP features";
	const auto socket = TRY(open_netlink(NETLINK_GENERIC));
	const int family = genl_ctrl_resolve(socket.get(), "netdev");
	if (family < 0)
		return fail(what, "the kernel does not report them; Linux 6.3 or later does");
	const NetlinkMessage request = make_request(family, ifindex);
	if (!request)
		return netlink_failure(what, -NLE_NOMEM);

	std::optional<std::uint64_t> features;
	int error = nl_send_auto(socket.get(), request.get());
	if (error >= 0)
		error = receive_answer(socket.get(), [&](nlmsghdr *answer) { features = features_in(answer); });
	if (error < 0)
		return netlink_failure(what, error);
	if (!features)
		return fail(what, "the kernel's answer lacks them");
	return *features;
}

} // namespace tcpwin
