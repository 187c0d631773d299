// SPDX-License-Identifier: Apache-2.0
#include "check/device.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <fmt/format.h>
#include <net/if.h>

#include "bpf/neighbours.hpp"
#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"
#include "bpf/xdp_programs.hpp"
#include "net/interface.hpp"
#include "net/qdisc.hpp"
#include "net/xdp_features.hpp"

namespace tcpwin {
namespace {

// The largest MTU for native XDP without frags: a page minus the headroom and tailroom of a frame.
constexpr unsigned largest_page_mtu = 3506;

constexpr auto xdp_is_free = "XDP is free";
constexpr auto wants_ethernet = "not used without Ethernet headers";

struct Device {
	Interface interface;
	std::vector<Interface> all;
	std::optional<std::uint64_t> features; // of XDP; nullopt: unknown
	std::string why_no_features;
	std::optional<bool> tcx;
	bool xdp_taken = false;       // by another program on this interface
	bool xdp_taken_above = false; // an upper interface has an XDP program, so the kernel allows none here

	bool has(std::uint64_t bit) const { return features && (*features & bit); }
	bool only_generic() const { return interface.loopback || (features && !has(xdp_basic)); }
	bool hides_vlan_tags() const { return interface.has_vlans && takes_vlan_tags_off(interface.name); }
	bool needs_tc() const { return !interface.ethernet || xdp_taken || xdp_taken_above || hides_vlan_tags(); }
	bool fits_native() const { return interface.mtu <= largest_page_mtu || has(xdp_rx_sg); }
};

std::string tc_way(const Device &device)
{
	return !device.tcx ? "TCX or clsact" : *device.tcx ? "TCX" : "clsact";
}

std::string xdp_way(const Device &device)
{
	if (device.only_generic())
		return "generic XDP";
	return device.has(xdp_basic) && device.fits_native() ? "native XDP" : "native or generic XDP";
}

std::string describe_way(const Device &device)
{
	if (device.needs_tc())
		return tc_way(device) + " for ingress and egress";
	if (device.interface.loopback)
		return tc_way(device) + " for egress";
	return fmt::format("{} for ingress, {} for egress", xdp_way(device), tc_way(device));
}

void check_interface(Checklist &list, const Interface &interface)
{
	list.add("interface", Answer::yes,
		 fmt::format("{}, index {}, {}", interface.name, interface.index,
			     interface.up ? "up" : "down: no packets until it is up"));
	const std::string driver = driver_of(interface.name);
	list.add("driver", yes_or_no(!driver.empty()),
		 fmt::format("{}{}{}", driver.empty() ? "none" : driver, interface.kind.empty() ? "" : ", kind ",
			     interface.kind));
}

// Only attaching shows whether a driver without frags accepts large frames: tap does, others do not.
void check_mtu(Checklist &list, const Device &device)
{
	const unsigned mtu = device.interface.mtu;
	if (mtu <= largest_page_mtu)
		list.add("MTU", Answer::yes, fmt::format("{}", mtu));
	else if (!device.interface.ethernet || device.only_generic())
		list.add("MTU", Answer::yes, fmt::format("{}: no limit for generic XDP and tc", mtu));
	else if (device.has(xdp_rx_sg))
		list.add("MTU", Answer::yes,
			 fmt::format("{}: XDP needs frags above {}; supported", mtu, largest_page_mtu));
	else
		list.add("MTU", Answer::unknown,
			 fmt::format("{}: above {}, native XDP may need frags", mtu, largest_page_mtu));
}

void check_ethernet(Checklist &list, const Interface &interface)
{
	list.add("Ethernet headers", yes_or_no(interface.ethernet),
		 interface.ethernet ? "frames begin with them" : "tc is used instead of XDP");
}

void check_xdp_feature(Checklist &list, const Device &device, std::string_view name, std::uint64_t bit,
		       std::string_view without)
{
	if (!device.features)
		list.add(name, Answer::unknown, device.why_no_features);
	else if (!device.has(bit))
		list.add(name, Answer::no, without);
	else
		list.add(name, Answer::yes, device.interface.ethernet ? "in the driver" : wants_ethernet);
}

void check_xdp(Checklist &list, const Device &device)
{
	check_xdp_feature(list, device, "XDP native", xdp_basic, "not in the driver");
	list.add("XDP generic", yes_or_no(device.interface.ethernet),
		 device.interface.ethernet ? "any Ethernet device" : wants_ethernet);
	check_xdp_feature(list, device, "XDP frags", xdp_rx_sg, "not in the driver; generic XDP does not need them");
}

void check_vlan_tags(Checklist &list, const Interface &interface)
{
	if (!takes_vlan_tags_off(interface.name))
		return list.add("VLAN tags for XDP", Answer::yes, "they stay in the frames");
	list.add("VLAN tags for XDP", Answer::no,
		 fmt::format("stripped by the device; {}",
			     interface.has_vlans ? "it has VLANs, so tc is used" : "tc is used once it has VLANs"));
}

// "'xdp_pass' (id 17, generic)"
std::string describe(const std::string &name, unsigned id, std::string_view where)
{
	return fmt::format("{} (id {}, {})", name.empty() ? "a program" : "'" + name + "'", id, where);
}

// XDP allows one program per interface, and none below an interface that has one.
bool excludes_xdp(const Device &device, const Interface &other)
{
	const unsigned index = device.interface.index;
	return other.index == index || other.index == device.interface.master || other.lower == index;
}

void add_xdp_program(Checklist &list, Device &device, const Interface &where, const XdpProgram &program)
{
	std::string text = describe(program.name, program.id, program.mode);
	device.xdp_taken_above = where.index != device.interface.index;
	device.xdp_taken = !device.xdp_taken_above;
	if (device.xdp_taken_above)
		text += " on " + where.name;
	list.add(xdp_is_free, Answer::no, is_ours(program.name) ? text + ": another agent" : text);
	if (device.interface.ethernet && !device.xdp_taken_above)
		list.obstruct(fmt::format("XDP is used by {}; {}use --mode tc", text,
					  is_ours(program.name) ? "stop the other agent, or " : ""));
}

void check_xdp_is_free(Checklist &list, Device &device)
{
	for (const Interface &other : device.all) {
		if (!excludes_xdp(device, other))
			continue;
		const auto programs = xdp_programs(other.index);
		if (!programs)
			return list.add(xdp_is_free, Answer::unknown, programs.error().sentence());
		if (!programs->empty())
			return add_xdp_program(list, device, other, programs->front());
	}
	list.add(xdp_is_free, Answer::yes, "no program attached");
}

void check_tc(Checklist &list, const Device &device)
{
	if (device.tcx.value_or(false))
		list.add("tc", Answer::yes, "TCX");
	else if (ingress_qdisc(device.interface.index) == "ingress")
		list.add("tc", device.tcx ? Answer::no : Answer::unknown,
			 "the qdisc 'ingress' is in the place of clsact");
	else
		list.add("tc", Answer::unknown,
			 device.tcx ? "clsact; needs the modules sch_ingress and cls_bpf" : "TCX or clsact");
}

std::string describe_ours(const std::vector<TcProgram> &programs)
{
	std::vector<std::string> ours;
	for (const TcProgram &program : programs)
		if (is_ours(program.name))
			ours.push_back(describe(program.name, program.id, name_of(program.direction)));
	return fmt::format("{}", fmt::join(ours, ", "));
}

// Programs at the tc hooks do not exclude each other.
void check_tc_programs(Checklist &list, unsigned ifindex)
{
	constexpr auto name = "no agent at tc";
	const auto clsact = clsact_programs(ifindex), tcx = tcx_programs(ifindex);
	std::vector<TcProgram> programs;
	for (const auto *some : {&clsact, &tcx})
		if (*some)
			programs.insert(programs.end(), (*some)->begin(), (*some)->end());

	if (const std::string ours = describe_ours(programs); !ours.empty())
		list.add(name, Answer::no, ours);
	else if (!clsact || !tcx || std::ranges::count(programs, "", &TcProgram::name))
		list.add(name, Answer::unknown, "only root can see all programs");
	else
		list.add(name, Answer::yes,
			 programs.empty() ? "no program attached" :
					    fmt::format("{} of other software", programs.size()));
}

// What runs before the agent's program, and may hide packets from it.
void check_neighbours(Checklist &list, const Device &device)
{
	constexpr auto name = "first to see packets";
	const HookKind tc = device.tcx.value_or(true) ? HookKind::tcx : HookKind::clsact;
	Neighbours all = find_neighbours(device.interface.index, tc, Direction::egress);
	if (device.needs_tc()) {
		auto [before, after] = find_neighbours(device.interface.index, tc, Direction::ingress);
		all.before.insert(all.before.end(), before.begin(), before.end());
		all.after.insert(all.after.end(), after.begin(), after.end());
	}
	for (const std::string &other : all.before)
		list.add(name, Answer::no, "after " + other);
	for (const std::string &other : all.after)
		list.add(name, Answer::yes, "before " + other);
	if (all.before.empty() && all.after.empty())
		list.add(name, device.tcx ? Answer::yes : Answer::unknown, "no other software at the same hook");
}

void check_directions(Checklist &list, const Interface &interface)
{
	list.add("both directions", yes_or_no(!interface.loopback),
		 interface.loopback ? "egress only: outgoing packets are the incoming ones" : "ingress and egress");
}

} // namespace

Result<std::string> check_device(Checklist &list, const std::string &name, std::optional<bool> tcx)
{
	Device device;
	device.tcx = tcx;
	device.all = TRY(list_interfaces());
	// By index, because the name may be an alternative one (altname).
	const auto found = std::ranges::find(device.all, if_nametoindex(name.c_str()), &Interface::index);
	if (found == device.all.end()) {
		list.add("interface", Answer::no, "there is no such interface");
		list.obstruct("there is no such interface; 'ip link' lists them");
		return std::string();
	}
	device.interface = *found;
	if (auto features = xdp_features(found->index))
		device.features = *features;
	else
		device.why_no_features = features.error().why;

	check_interface(list, device.interface);
	check_mtu(list, device);
	check_ethernet(list, device.interface);
	check_xdp(list, device);
	check_vlan_tags(list, device.interface);
	check_xdp_is_free(list, device);
	check_tc(list, device);
	check_tc_programs(list, device.interface.index);
	check_neighbours(list, device);
	check_directions(list, device.interface);
	return describe_way(device);
}

} // namespace tcpwin
