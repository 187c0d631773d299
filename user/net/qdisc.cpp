// SPDX-License-Identifier: Apache-2.0
#include "net/qdisc.hpp"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>

#include "net/netlink.hpp"

namespace tcpwin {

std::string ingress_qdisc(unsigned ifindex)
{
	const auto socket = open_netlink(NETLINK_ROUTE);
	tcmsg request{};
	std::string kind;
	request.tcm_ifindex = static_cast<int>(ifindex);
	// The kernel lists the qdiscs of all interfaces.
	const auto take = [&](nlmsghdr *message) {
		const auto *qdisc = static_cast<const tcmsg *>(nlmsg_data(message));
		nlattr *attributes[TCA_MAX + 1];
		if (qdisc->tcm_ifindex == request.tcm_ifindex && qdisc->tcm_parent == TC_H_INGRESS &&
		    nlmsg_parse(message, sizeof(tcmsg), attributes, TCA_MAX, nullptr) == 0 && attributes[TCA_KIND])
			kind = nla_get_string(attributes[TCA_KIND]);
	};
	if (socket && nl_send_simple(socket->get(), RTM_GETQDISC, NLM_F_DUMP, &request, sizeof(request)) >= 0)
		receive_answer(socket->get(), take);
	return kind;
}

} // namespace tcpwin
