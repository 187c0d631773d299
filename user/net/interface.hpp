// SPDX-License-Identifier: Apache-2.0
// The network interfaces of this network namespace, and word of their changes.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace tcpwin {

struct Interface {
	unsigned index = 0;
	std::string name;
	std::string kind; // IFLA_INFO_KIND: "veth", "bridge", "vlan", ...; empty: a device without one
	unsigned mtu = 0;
	bool up = false;       // IFF_UP
	bool loopback = false; // IFF_LOOPBACK
	bool ethernet = false; // its frames begin with an Ethernet header
	// Other interfaces, each 0 if there is none in this network namespace.
	unsigned peer = 0;   // a veth's other end
	unsigned master = 0; // the bridge, bond, ... whose port it is
	unsigned lower = 0;  // what a vlan, macvlan, ... is on top of
	// Its packets pass another interface as well: watching both counts twice.
	bool stacked = false;
	bool has_vlans = false; // a vlan device is on top of it
};

// In order of index.
Result<std::vector<Interface>> list_interfaces();

// Says that an interface has come, gone or changed in some way; the caller
// compares lists. After open() it needs no capability and no new descriptor.
class InterfaceMonitor {
public:
	static Result<InterfaceMonitor> open();

	// Readable: something may have changed.
	int fd() const { return nl_socket_get_fd(notices_.get()); }
	// Takes up all notices, then lists. What changes meanwhile makes fd() readable again.
	Result<std::vector<Interface>> changed();

private:
	InterfaceMonitor(NetlinkSocket notices, NetlinkSocket questions)
		: notices_(std::move(notices)), questions_(std::move(questions))
	{
	}

	NetlinkSocket notices_;
	NetlinkSocket questions_;
};

// Whether the device takes the VLAN tag off a frame and hands it over beside it (ethtool -k: rx-vlan-offload); false if
// it cannot be told.
bool takes_vlan_tags_off(const std::string &interface);

// As ethtool -i has it; empty: the device has none, or does not exist.
std::string driver_of(const std::string &interface);

} // namespace tcpwin
