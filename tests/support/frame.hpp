// SPDX-License-Identifier: Apache-2.0
//
// Builds frames for tests, one call per header:
//
//	Frame().ethernet().vlan(7).ipv4("10.0.0.1", "10.0.0.2").tcp(4000, 80, TCPWIN_FLAG_SYN).bytes()
//
// bytes() fills in the dependent fields: lengths, the number of the next
// protocol, the TCP data offset, the IPv4 header checksum. A field of the
// option structs that is set is written unchanged, right or wrong. TCP and UDP
// checksums stay 0.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tcpwin::test {

using Bytes = std::vector<uint8_t>;

struct EthernetFields {
	std::optional<uint16_t> type = {};
};

struct VlanFields {
	uint16_t tpid = 0x8100;
	uint8_t pcp = 0;
	std::optional<uint16_t> type = {}; // Ethernet type of what follows
};

struct Ipv4Fields {
	Bytes options = {}; // padded with zeros to whole words
	std::optional<uint8_t> version = {};
	std::optional<uint8_t> ihl = {}; // in words
	std::optional<uint16_t> total_length = {};
	uint16_t id = 0;
	uint16_t fragment_offset = 0; // in units of 8 bytes
	bool more_fragments = false;
	bool dont_fragment = false;
	uint8_t ttl = 64;
	std::optional<uint16_t> protocol = {};
};

struct Ipv6Fields {
	std::optional<uint8_t> version = {};
	std::optional<uint16_t> payload_length = {};
	std::optional<uint16_t> next_header = {};
	uint8_t hop_limit = 64;
};

struct ExtensionFields {
	size_t length = 8; // whole header, in bytes, multiple of 8
	std::optional<uint16_t> next_header = {};
};

struct AuthenticationFields {
	size_t length = 12; // whole header, in bytes, multiple of 4
	std::optional<uint16_t> next_header = {};
};

struct FragmentFields {
	uint16_t offset = 0; // in units of 8 bytes
	bool more = false;
	uint32_t id = 1;
	std::optional<uint16_t> next_header = {};
};

struct TcpFields {
	uint16_t window = 64240;
	uint32_t seq = 1;
	uint32_t ack = 0;
	Bytes options = {};                      // padded with zeros to whole words
	std::optional<uint8_t> data_offset = {}; // in words
};

class Frame {
public:
	Frame &ethernet(const EthernetFields &fields = {})
	{
		Bytes header = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0};
		return add({.bytes = header, .next_at = 12, .next_width = 2, .next = fields.type});
	}

	Frame &vlan(uint16_t id, const VlanFields &fields = {})
	{
		Bytes header(4);
		put16(header, 0, static_cast<uint16_t>(fields.pcp << 13 | (id & 0x0fff)));
		return add({.bytes = header, .next_at = 2, .next_width = 2, .next = fields.type, .type = fields.tpid});
	}

	Frame &ipv4(const std::string &source, const std::string &destination, const Ipv4Fields &fields = {})
	{
		Bytes header(20);
		append_words(header, fields.options);
		auto ihl = fields.ihl.value_or(header.size() / 4);
		header[0] = static_cast<uint8_t>(fields.version.value_or(4) << 4 | ihl);
		put16(header, 4, fields.id);
		put16(header, 6,
		      static_cast<uint16_t>(fields.dont_fragment << 14 | fields.more_fragments << 13 |
					    fields.fragment_offset));
		header[8] = fields.ttl;
		put_address(header, 12, AF_INET, source);
		put_address(header, 16, AF_INET, destination);
		return add({.bytes = header,
			    .next_at = 9,
			    .next = fields.protocol,
			    .type = 0x0800,
			    .protocol = 4,
			    .length_at = 2,
			    .length = fields.total_length,
			    .checksum_at = 10});
	}

	Frame &ipv6(const std::string &source, const std::string &destination, const Ipv6Fields &fields = {})
	{
		Bytes header(40);
		header[0] = static_cast<uint8_t>(fields.version.value_or(6) << 4);
		header[7] = fields.hop_limit;
		put_address(header, 8, AF_INET6, source);
		put_address(header, 24, AF_INET6, destination);
		return add({.bytes = header,
			    .next_at = 6,
			    .next = fields.next_header,
			    .type = 0x86dd,
			    .protocol = 41,
			    .length_at = 4,
			    .length = fields.payload_length,
			    .length_excludes = 40});
	}

	Frame &hop_by_hop(const ExtensionFields &fields = {}) { return extension(0, fields, fields.length / 8 - 1); }
	Frame &routing(const ExtensionFields &fields = {}) { return extension(43, fields, fields.length / 8 - 1); }
	Frame &destination(const ExtensionFields &fields = {}) { return extension(60, fields, fields.length / 8 - 1); }
	Frame &authentication(const AuthenticationFields &fields = {})
	{
		return extension(51, {fields.length, fields.next_header}, fields.length / 4 - 2);
	}

	Frame &fragment(const FragmentFields &fields = {})
	{
		Bytes header(8);
		put16(header, 2, static_cast<uint16_t>(fields.offset << 3 | fields.more));
		put32(header, 4, fields.id);
		return add({.bytes = header, .next_at = 0, .next = fields.next_header, .protocol = 44});
	}

	Frame &tcp(uint16_t source, uint16_t destination, uint8_t flags, const TcpFields &fields = {})
	{
		Bytes header(20);
		append_words(header, fields.options);
		put16(header, 0, source);
		put16(header, 2, destination);
		put32(header, 4, fields.seq);
		put32(header, 8, fields.ack);
		header[12] = static_cast<uint8_t>(fields.data_offset.value_or(header.size() / 4) << 4);
		header[13] = flags;
		put16(header, 14, fields.window);
		return add({.bytes = header, .protocol = 6});
	}

	Frame &udp(uint16_t source, uint16_t destination)
	{
		Bytes header(8);
		put16(header, 0, source);
		put16(header, 2, destination);
		return add({.bytes = header, .protocol = 17, .length_at = 4});
	}

	Frame &payload(size_t size, uint8_t fill = 0x5a) { return add({.bytes = Bytes(size, fill)}); }
	Frame &raw(const Bytes &bytes) { return add({.bytes = bytes}); }

	// At least size bytes: padding is zeros after the last header, not included in any length.
	Frame &pad_to(size_t size)
	{
		pad_to_ = size;
		return *this;
	}

	Bytes bytes() const
	{
		Bytes tail;
		for (size_t i = layers_.size(); i-- > 0;)
			tail = finished(i, tail);
		tail.resize(std::max(tail.size(), pad_to_));
		return tail;
	}

private:
	static constexpr size_t none = SIZE_MAX;
	static constexpr uint8_t no_next_header = 59;

	// A header, and where in it fields depend on other headers.
	struct Layer {
		Bytes bytes = {};
		size_t next_at = none;
		size_t next_width = 1;
		std::optional<uint16_t> next = {};
		std::optional<uint16_t> type = {};     // its own Ethernet type
		std::optional<uint16_t> protocol = {}; // its own IP protocol number
		size_t length_at = none;
		std::optional<uint16_t> length = {};
		size_t length_excludes = 0;
		size_t checksum_at = none;
	};

	Frame &add(Layer layer)
	{
		layers_.push_back(std::move(layer));
		return *this;
	}

	Frame &extension(uint16_t protocol, const ExtensionFields &fields, size_t length_field)
	{
		Bytes header(fields.length);
		header.at(1) = static_cast<uint8_t>(length_field);
		return add({.bytes = header, .next_at = 0, .next = fields.next_header, .protocol = protocol});
	}

	// The number by which layer i announces the one after it.
	uint16_t next_number(size_t i) const
	{
		const Layer &layer = layers_[i];
		const Layer after = i + 1 < layers_.size() ? layers_[i + 1] : Layer();
		bool link = layer.next_width == 2;
		return layer.next.value_or(link ? after.type.value_or(0) : after.protocol.value_or(no_next_header));
	}

	Bytes finished(size_t i, const Bytes &tail) const
	{
		const Layer &layer = layers_[i];
		Bytes all = layer.bytes;
		if (layer.next_at != none && layer.next_width == 2)
			put16(all, layer.next_at, next_number(i));
		else if (layer.next_at != none)
			all.at(layer.next_at) = static_cast<uint8_t>(next_number(i));
		if (layer.length_at != none)
			put16(all, layer.length_at,
			      layer.length.value_or(
				      static_cast<uint16_t>(all.size() + tail.size() - layer.length_excludes)));
		if (layer.checksum_at != none)
			put16(all, layer.checksum_at, checksum(all));
		all.insert(all.end(), tail.begin(), tail.end());
		return all;
	}

	static uint16_t checksum(const Bytes &header) // RFC 1071
	{
		uint32_t sum = 0;
		for (size_t i = 0; i < header.size(); i += 2)
			sum += static_cast<uint32_t>(header[i] << 8 | header[i + 1]);
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		return static_cast<uint16_t>(~sum);
	}

	static void append_words(Bytes &header, const Bytes &options)
	{
		header.insert(header.end(), options.begin(), options.end());
		header.resize((header.size() + 3) / 4 * 4);
	}

	static void put16(Bytes &bytes, size_t at, uint16_t value)
	{
		bytes.at(at) = static_cast<uint8_t>(value >> 8);
		bytes.at(at + 1) = static_cast<uint8_t>(value);
	}

	static void put32(Bytes &bytes, size_t at, uint32_t value)
	{
		put16(bytes, at, static_cast<uint16_t>(value >> 16));
		put16(bytes, at + 2, static_cast<uint16_t>(value));
	}

	static void put_address(Bytes &bytes, size_t at, int family, const std::string &text)
	{
		std::array<uint8_t, 16> address = {};
		if (inet_pton(family, text.c_str(), address.data()) != 1)
			throw std::invalid_argument("no address: " + text);
		std::copy_n(address.begin(), family == AF_INET ? 4 : 16,
			    bytes.begin() + static_cast<std::ptrdiff_t>(at));
	}

	std::vector<Layer> layers_;
	size_t pad_to_ = 0;
};

} // namespace tcpwin::test
