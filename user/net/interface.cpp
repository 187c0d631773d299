// SPDX-License-Identifier: Apache-2.0
//
// The dump is read attribute by attribute, without libnl-route's link cache, which fails as a whole if it does not
// understand the kind-specific data of one interface.
#include "net/interface.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

constexpr auto cannot_list = "cannot list the interfaces";
constexpr int dump_tries = 8;

template <std::size_t size> bool is_one_of(std::string_view kind, const std::string_view (&kinds)[size])
{
	return std::find(std::begin(kinds), std::end(kinds), kind) != std::end(kinds);
}

// Kinds with ports below them, now or later; packets of an ifb come from another interface.
constexpr std::string_view above_ports[] = {"bridge", "bond", "team", "vrf", "hsr", "openvswitch", "ifb"};
// Kinds with one interface below them. Tunnels are not included: below them, their packets are encapsulated.
constexpr std::string_view above_one[] = {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"};
constexpr std::string_view pairs[] = {"veth", "netkit"};

unsigned number(const nlattr *attribute)
{
	return attribute ? nla_get_u32(attribute) : 0;
}

std::string kind_of(nlattr *link_info)
{
	nlattr *attributes[IFLA_INFO_MAX + 1];
	if (!link_info || nla_parse_nested(attributes, IFLA_INFO_MAX, link_info, nullptr) != 0)
		return {};
	const nlattr *kind = attributes[IFLA_INFO_KIND];
	return kind ? nla_get_string(kind) : "";
}

// With IFLA_LINK_NETNSID the index in IFLA_LINK belongs to another network namespace.
void set_neighbours(Interface &interface, nlattr *const *attributes)
{
	interface.master = number(attributes[IFLA_MASTER]);
	const unsigned link = attributes[IFLA_LINK_NETNSID] ? 0 : number(attributes[IFLA_LINK]);
	if (is_one_of(interface.kind, pairs))
		interface.peer = link;
	else if (is_one_of(interface.kind, above_one))
		interface.lower = link;
	interface.stacked = interface.lower || is_one_of(interface.kind, above_ports);
}

void take_link(nlmsghdr *message, std::vector<Interface> &interfaces)
{
	// number() does not check the size of the attribute.
	nla_policy policy[IFLA_MAX + 1] = {};
	for (int type : {IFLA_MTU, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_MASTER})
		policy[type].type = NLA_U32;
	policy[IFLA_IFNAME].type = NLA_NUL_STRING;
	nlattr *attributes[IFLA_MAX + 1];
	if (message->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse(message, sizeof(ifinfomsg), attributes, IFLA_MAX, policy) != 0 || !attributes[IFLA_IFNAME])
		return;

	const auto *info = static_cast<const ifinfomsg *>(nlmsg_data(message));
	Interface interface;
	interface.index = static_cast<unsigned>(info->ifi_index);
	interface.name = nla_get_string(attributes[IFLA_IFNAME]);
	interface.kind = kind_of(attributes[IFLA_LINKINFO]);
	interface.mtu = number(attributes[IFLA_MTU]);
	interface.up = info->ifi_flags & IFF_UP;
	interface.loopback = info->ifi_flags & IFF_LOOPBACK;
	interface.ethernet = info->ifi_type == ARPHRD_ETHER || info->ifi_type == ARPHRD_LOOPBACK;
	set_neighbours(interface, attributes);
	interfaces.push_back(std::move(interface));
}

int request_dump(nl_sock *socket)
{
	ifinfomsg request{};
	return nl_send_simple(socket, RTM_GETLINK, NLM_F_DUMP, &request, sizeof(request));
}

// Where containers start and stop constantly, changes may interrupt every dump. The last attempt is then used; it may
// lack an interface until the next notification.
Result<std::vector<Interface>> dump(nl_sock *socket)
{
	std::vector<Interface> interfaces;
	int error = -NLE_DUMP_INTR;
	for (int tries = 0; tries < dump_tries && error == -NLE_DUMP_INTR; tries++) {
		interfaces.clear();
		error = request_dump(socket);
		if (error >= 0)
			error = receive_answer(socket, [&](nlmsghdr *message) { take_link(message, interfaces); });
	}
	if (error < 0 && error != -NLE_DUMP_INTR)
		return netlink_failure(cannot_list, error);

	std::ranges::sort(interfaces, {}, &Interface::index);
	const auto repeated = std::ranges::unique(interfaces, {}, &Interface::index);
	interfaces.erase(repeated.begin(), repeated.end());
	for (const Interface &upper : interfaces)
		if (upper.kind == "vlan")
			for (Interface &interface : interfaces)
				interface.has_vlans |= interface.index == upper.lower;
	return interfaces;
}

// The contents of notifications do not matter. ENOBUFS: some were lost, which does not matter either.
int discard_notifications(int fd)
{
	char discarded;
	while (recv(fd, &discarded, sizeof(discarded), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
	return errno == EAGAIN ? 0 : errno;
}

// command: a struct of linux/ethtool.h, with cmd set.
bool ask_ethtool(const std::string &interface, void *command)
{
	ifreq request{};
	if (interface.size() >= sizeof(request.ifr_name))
		return false;
	std::memcpy(request.ifr_name, interface.data(), interface.size());
	request.ifr_data = static_cast<char *>(command);
	const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	return socket && ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

} // namespace

Result<std::vector<Interface>> list_interfaces()
{
	const auto socket = TRY(open_netlink(NETLINK_ROUTE));
	return dump(socket.get());
}

const Interface *find_interface(const std::vector<Interface> &all, unsigned ifindex)
{
	const auto found = std::ranges::find(all, ifindex, &Interface::index);
	return found == all.end() ? nullptr : &*found;
}

Result<InterfaceMonitor> InterfaceMonitor::open()
{
	auto notifications = TRY(open_netlink(NETLINK_ROUTE));
	if (int error = nl_socket_add_memberships(notifications.get(), RTNLGRP_LINK, RTNLGRP_TC, 0))
		return netlink_failure("cannot monitor the interfaces", error);
	nl_socket_set_nonblocking(notifications.get());
	auto requests = TRY(open_netlink(NETLINK_ROUTE));
	return InterfaceMonitor(std::move(notifications), std::move(requests));
}

Result<std::vector<Interface>> InterfaceMonitor::changed()
{
	if (int error = discard_notifications(fd()))
		return fail("cannot monitor the interfaces", describe_errno(error));
	return dump(requests_.get());
}

bool takes_vlan_tags_off(const std::string &interface)
{
	ethtool_value flags{};
	flags.cmd = ETHTOOL_GFLAGS;
	return ask_ethtool(interface, &flags) && (flags.data & ETH_FLAG_RXVLAN);
}

std::string driver_of(const std::string &interface)
{
	ethtool_drvinfo driver{};
	driver.cmd = ETHTOOL_GDRVINFO;
	if (!ask_ethtool(interface, &driver))
		return {};
	return std::string(driver.driver, strnlen(driver.driver, sizeof(driver.driver)));
}

} // namespace tcpwin
