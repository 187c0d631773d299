// SPDX-License-Identifier: Apache-2.0
// Converts Ethernet frames to other link types: https://www.tcpdump.org/linktypes.html
#pragma once

#include <optional>

#include "replay/captures.hpp"

namespace tcpwin::test {

struct LinkFormat {
	std::string name;
	std::uint16_t dlt; // the number in capture files
	LinkType link;
	// The link header for an EtherType; nullopt if the link type cannot carry it.
	std::optional<Bytes> (*header)(std::uint16_t ethertype);
};

inline constexpr std::uint16_t ipv4 = 0x0800, ipv6 = 0x86dd;

inline std::optional<Bytes> of_protocol(std::uint16_t ethertype, std::optional<Bytes> four, std::optional<Bytes> six)
{
	return ethertype == ipv4 ? four : ethertype == ipv6 ? six : std::nullopt;
}

inline const std::vector<LinkFormat> &link_formats()
{
	using Header = std::optional<Bytes>;
	static const std::vector<LinkFormat> formats{
		{"Raw", 101, LinkType::raw_ip, [](auto type) -> Header { return of_protocol(type, Bytes{}, Bytes{}); }},
		{"LinuxCooked", 113, LinkType::linux_sll,
		 [](auto type) -> Header {
			 return Packer(std::endian::big).u16(0).u16(1).u16(6).raw(Bytes(8)).u16(type).bytes;
		 }},
		{"LinuxCooked2", 276, LinkType::linux_sll2,
		 [](auto type) -> Header {
			 return Packer(std::endian::big).u16(type).u16(0).u32(1).u16(1).u16(0x0006).raw(Bytes(8)).bytes;
		 }},
		{"NullLittleEndian", 0, LinkType::null,
		 [](auto type) -> Header { return of_protocol(type, Bytes{2, 0, 0, 0}, Bytes{30, 0, 0, 0}); }},
		{"NullBigEndian", 0, LinkType::null,
		 [](auto type) -> Header { return of_protocol(type, Bytes{0, 0, 0, 2}, Bytes{0, 0, 0, 24}); }},
		{"Loop", 108, LinkType::loop,
		 [](auto type) -> Header { return of_protocol(type, Bytes{0, 0, 0, 2}, Bytes{0, 0, 0, 28}); }},
		{"Ppp", 9, LinkType::ppp,
		 [](auto type) -> Header { return of_protocol(type, Bytes{0x00, 0x21}, Bytes{0x00, 0x57}); }},
		{"PppInHdlc", 50, LinkType::ppp,
		 [](auto type) -> Header {
			 return of_protocol(type, Bytes{0xff, 0x03, 0x00, 0x21}, Bytes{0xff, 0x03, 0x00, 0x57});
		 }},
	};
	return formats;
}

// Leaves out frames that the link type cannot carry.
inline Frames as_link(const LinkFormat &format, const Frames &ethernet)
{
	Frames converted;
	for (const TimedFrame &frame : ethernet) {
		if (frame.bytes.size() < 14)
			continue;
		const auto header = format.header(static_cast<std::uint16_t>(frame.bytes[12] << 8 | frame.bytes[13]));
		if (!header)
			continue;
		TimedFrame other{*header, frame.time_ns,
				 frame.wire_length() - 14 + static_cast<std::uint32_t>(header->size())};
		other.bytes.insert(other.bytes.end(), frame.bytes.begin() + 14, frame.bytes.end());
		converted.push_back(std::move(other));
	}
	return converted;
}

} // namespace tcpwin::test
