// SPDX-License-Identifier: Apache-2.0
// The network interfaces of this network namespace, and notifications of their changes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace tcpwin {

struct Interface {
	unsigned index = 0;
	std::string name;
	std::string kind; // IFLA_INFO_KIND: "veth", "bridge", "vlan", ...; empty: none, for instance hardware
	unsigned mtu = 0;
	bool up = false;       // IFF_UP
	bool loopback = false; // IFF_LOOPBACK
	bool ethernet = false; // its frames begin with an Ethernet header
	// Indices of other interfaces; 0: none in this network namespace.
	unsigned peer = 0;   // the other end of a veth
	unsigned master = 0; // the bridge, bond, ... whose port it is
	unsigned lower = 0;  // the interface below a vlan, macvlan, ...
	// Its packets also pass another interface: watching both would count them twice.
	bool stacked = false;
	bool has_vlans = false; // a vlan device is on top of it
};

// In order of index.
Result<std::vector<Interface>> list_interfaces();

// The interface with this index, in the list; null: there is none.
const Interface *find_interface(const std::vector<Interface> &all, unsigned ifindex);

// Reports that some interface, or a qdisc or filter of one, was added, deleted or changed; the caller finds out which. After open() it
// needs no capability and no new descriptor.
class InterfaceMonitor {
public:
	static Result<InterfaceMonitor> open();

	// Readable when something may have changed.
	int fd() const { return nl_socket_get_fd(notifications_.get()); }
	// Discards all notifications, then lists the interfaces. A change meanwhile makes fd() readable again.
	Result<std::vector<Interface>> changed();

private:
	InterfaceMonitor(NetlinkSocket notifications, NetlinkSocket requests)
		: notifications_(std::move(notifications)), requests_(std::move(requests))
	{
	}

	NetlinkSocket notifications_;
	NetlinkSocket requests_;
};

// Whether the device removes VLAN tags from frames and passes them as metadata (ethtool -k: rx-vlan-offload); false if
// unknown.
bool takes_vlan_tags_off(const std::string &interface);

// The name of the driver, as ethtool -i prints it; empty: the device has none or does not exist.
std::string driver_of(const std::string &interface);

} // namespace tcpwin
