// SPDX-License-Identifier: Apache-2.0
// The link-layer headers of captures, down to the Ethernet type of the payload. Formats: https://www.tcpdump.org/linktypes.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <linux/if_ether.h>
#include <linux/ppp_defs.h>
#include <pcap/sll.h>
#include <tcpwin/parse.h>

#include "capture/frame.hpp"

namespace tcpwin {

// Offset in bytes and Ethernet type (0: neither IPv4, IPv6 nor VLAN) of the network layer.
struct NetworkLayer {
	std::uint32_t offset;
	std::uint16_t ethertype;
};

inline std::uint16_t ethertype_of_version(std::uint8_t first_byte)
{
	return first_byte >> 4 == 4 ? ETH_P_IP : first_byte >> 4 == 6 ? ETH_P_IPV6 : 0;
}

// AF_INET is 2 everywhere. AF_INET6 depends on the system that captured: 10 on Linux, 24 on NetBSD and OpenBSD, 28 on
// FreeBSD, 30 on macOS.
inline std::uint16_t ethertype_of_family(std::uint32_t family)
{
	switch (family) {
	case 2:
		return ETH_P_IP;
	case 10:
	case 24:
	case 28:
	case 30:
		return ETH_P_IPV6;
	default:
		return 0;
	}
}

inline std::uint16_t ethertype_of_ppp(std::uint16_t protocol)
{
	return protocol == PPP_IP ? ETH_P_IP : protocol == PPP_IPV6 ? ETH_P_IPV6 : 0;
}

// The family of DLT_NULL is in the byte order of the machine that captured.
inline std::uint32_t null_family(const std::uint8_t *at)
{
	std::uint32_t family;
	std::memcpy(&family, at, sizeof(family));
	return family > 0xffff ? __builtin_bswap32(family) : family;
}

// PPP, with or without the address and control fields of HDLC-like framing (RFC 1662).
inline NetworkLayer find_ppp(const Frame &frame)
{
	const std::uint32_t skip =
		frame.captured >= 4 && frame.data[0] == PPP_ALLSTATIONS && frame.data[1] == PPP_UI ? 2 : 0;
	if (frame.captured < skip + 2)
		return {frame.captured + 1, 0};
	return {skip + 2, ethertype_of_ppp(tcpwin_be16(frame.data + skip))};
}

// If the returned offset is above frame.captured, the frame is truncated.
inline NetworkLayer find_network_layer(const Frame &frame)
{
	const std::uint8_t *data = frame.data;
	const auto at = [&](std::uint32_t offset, auto ethertype) -> NetworkLayer {
		return {offset, frame.captured < offset ? std::uint16_t{0} : std::uint16_t(ethertype())};
	};
	switch (frame.link) {
	case LinkType::ethernet:
		return at(ETH_HLEN, [&] { return tcpwin_be16(data + offsetof(ethhdr, h_proto)); });
	case LinkType::raw_ip:
		return {0, frame.captured ? ethertype_of_version(data[0]) : std::uint16_t{0}};
	case LinkType::linux_sll:
		return at(SLL_HDR_LEN, [&] { return tcpwin_be16(data + offsetof(sll_header, sll_protocol)); });
	case LinkType::linux_sll2:
		return at(SLL2_HDR_LEN, [&] { return tcpwin_be16(data + offsetof(sll2_header, sll2_protocol)); });
	case LinkType::null:
		return at(4, [&] { return ethertype_of_family(null_family(data)); });
	case LinkType::loop:
		return at(4, [&] { return ethertype_of_family(tcpwin_be16(data + 2)); });
	case LinkType::ppp:
		return find_ppp(frame);
	}
	return {0, 0};
}

inline tcpwin_reject parse_frame(const Frame &frame, tcpwin_packet &packet)
{
	const NetworkLayer network = find_network_layer(frame);
	if (network.offset > frame.captured)
		return TCPWIN_REJECT_ETHERNET_TRUNCATED;
	tcpwin_cursor cursor{frame.data + network.offset, frame.data + frame.captured, frame.wire - network.offset};
	return tcpwin_parse_ethertype(&cursor, network.ethertype, 0, &packet);
}

} // namespace tcpwin
