// SPDX-License-Identifier: Apache-2.0
// Random captures that cover what the engines distinguish: times around every
// timeout, equal and backward times, windows, flags, VLAN tags, both IP versions,
// extension headers, fragments in any order, damaged and truncated frames.
#pragma once

#include <random>

#include <fmt/format.h>

#include <tcpwin/types.h>

#include "replay/captures.hpp"

namespace tcpwin::test {

class Generator {
public:
	Generator(std::uint64_t seed, const tcpwin_config &config) : random_(seed), config_(config) {}

	Frames capture()
	{
		Frames frames;
		flows_.assign(below(5) + 1, {});
		for (Flow &flow : flows_)
			flow = make_flow();
		now_ = 1'000'000'000'000'000'000 + below(1'000'000'000);
		const std::size_t count = 10 + below(60);
		while (frames.size() < count) {
			Flow &flow = flows_[below(flows_.size())];
			now_ = next_time(flow);
			flow.last = now_;
			frames.push_back(cut(packet_of(flow).bytes()));
		}
		return frames;
	}

private:
	struct Flow {
		bool six = false;
		int vlan_tags = 0;
		std::uint16_t vlan = 0;
		std::uint16_t client_port = 0;
		std::uint16_t server_port = 0;
		std::uint64_t last = 0;
	};

	std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
	bool one_in(std::uint64_t n) { return below(n) == 0; }
	std::uint8_t byte() { return static_cast<std::uint8_t>(below(256)); }
	template <typename T> T any_of(std::initializer_list<T> values) { return values.begin()[below(values.size())]; }

	Flow make_flow()
	{
		return {.six = one_in(3),
			.vlan_tags = one_in(3) ? static_cast<int>(below(6)) : 0,
			.vlan = static_cast<std::uint16_t>(below(3)),
			.client_port = static_cast<std::uint16_t>(40000 + below(3)),
			.server_port = any_of<std::uint16_t>({80, 1023, 5000, 8080, 8089, 50000})};
	}

	// Often close to a timeout after the last packet of the flow or the last frame.
	std::uint64_t next_time(const Flow &flow)
	{
		const std::uint64_t from = flow.last && one_in(2) ? flow.last : now_;
		const bool holds = config_.stalled_ns && below(4) == 0;
		const std::uint64_t timeout = holds ? config_.stalled_ns :
						      config_.timeout_ns[below(config_.rules & TCPWIN_RULE_FIN_TIMEOUT ?
										       TCPWIN_TIMEOUT_FIN + 1 :
										       TCPWIN_TIMEOUT_ABRT + 1)];
		switch (below(10)) {
		case 0:
			return now_;
		case 1:
		case 2:
			return from + timeout + any_of<std::uint64_t>({0, 1, 1000});
		case 3:
			return from + timeout - 1;
		case 4:
			return now_ - 1 - below(one_in(2) ? 1000 : 1'000'000);
		case 5:
			return one_in(3) ? now_ - below(20'000'000'000) : now_ + below(1000);
		case 6:
			return now_ + below(timeout);
		default:
			return now_ + below(one_in(2) ? 100'000'000 : 1'000'000);
		}
	}

	Frame ethernet(const Flow &flow)
	{
		Frame frame;
		frame.ethernet();
		for (int tag = 0; tag < flow.vlan_tags; tag++)
			frame.vlan(static_cast<std::uint16_t>(tag + 1 < flow.vlan_tags ? 99 : flow.vlan),
				   {.tpid = any_of<std::uint16_t>({0x8100, 0x88a8, 0x9100, 0x9200}), .pcp = 5});
		return frame;
	}

	Frame packet_of(const Flow &flow)
	{
		switch (below(20)) {
		case 0:
			return ethernet(flow).ipv4("10.0.0.1", "10.0.0.2").udp(53, 53).payload(20);
		case 1:
			return Frame().ethernet({.type = 0x0806}).payload(28);
		case 2:
			return garbage(flow);
		case 3:
		case 4:
		case 5:
			return flow.six ? fragment6(flow) : fragment4(flow);
		default:
			return flow.six ? plain6(flow) : plain4(flow);
		}
	}

	Frame &tcp(Frame &frame, const Flow &flow, bool from_server)
	{
		const std::uint8_t flags =
			one_in(8) ? byte() :
				    any_of<std::uint8_t>({0x10, 0x10, 0x10, 0x18, 0x02, 0x12, 0x11, 0x14, 0x04});
		TcpFields fields{.window = any_of<std::uint16_t>({0, 0, 1, 99, 100, 64240, 65535}),
				 .seq = number(from_server ? 5'000 : 0xffff'fff0),
				 .ack = number(from_server ? 0xffff'fff0 : 5'000)};
		if (one_in(4))
			fields.options = {3, 3, static_cast<std::uint8_t>(below(16)), 1};
		if (one_in(30))
			fields.data_offset = static_cast<std::uint8_t>(below(16));
		return frame
			.tcp(from_server ? flow.server_port : flow.client_port,
			     from_server ? flow.client_port : flow.server_port, flags, fields)
			.payload(one_in(4) ? 1 : below(3) * 30);
	}

	// Few different numbers, so that segments often follow, overlap or repeat; those of one endpoint wrap at 2^32.
	std::uint32_t number(std::uint32_t first)
	{
		if (one_in(30))
			return static_cast<std::uint32_t>(random_());
		return first + any_of<std::uint32_t>({0, 0, 1, 1, 2, 30, 31, 60, 61, 90});
	}

	Frame &ip4(Frame &frame, bool from_server, const Ipv4Fields &fields)
	{
		return from_server ? frame.ipv4("10.0.0.2", "10.0.0.1", fields) :
				     frame.ipv4("10.0.0.1", "10.0.0.2", fields);
	}
	Frame &ip6(Frame &frame, bool from_server, const Ipv6Fields &fields = {})
	{
		return from_server ? frame.ipv6("2001:db8::2", "2001:db8::1", fields) :
				     frame.ipv6("2001:db8::1", "2001:db8::2", fields);
	}

	Frame plain4(const Flow &flow)
	{
		const bool from_server = one_in(2);
		Ipv4Fields fields;
		if (one_in(10))
			fields.options = Bytes(below(10) * 4, 1);
		if (one_in(30))
			fields.total_length = static_cast<std::uint16_t>(below(80));
		if (one_in(60))
			fields.ihl = static_cast<std::uint8_t>(below(16));
		if (one_in(60))
			fields.version = static_cast<std::uint8_t>(below(16));
		Frame frame = ethernet(flow);
		return tcp(ip4(frame, from_server, fields), flow, from_server);
	}

	Frame plain6(const Flow &flow)
	{
		const bool from_server = one_in(2);
		Ipv6Fields fields;
		if (one_in(30))
			fields.payload_length = static_cast<std::uint16_t>(below(80));
		Frame frame = ethernet(flow);
		ip6(frame, from_server, fields);
		for (std::uint64_t i = one_in(3) ? below(10) : 0; i > 0; i--)
			extend(frame);
		return tcp(frame, flow, from_server);
	}

	void extend(Frame &frame)
	{
		switch (below(5)) {
		case 0:
			frame.hop_by_hop({.length = 8 * (1 + below(3))});
			break;
		case 1:
			frame.routing();
			break;
		case 2:
			frame.destination();
			break;
		case 3:
			frame.authentication({.length = 12 + 4 * below(2)});
			break;
		default:
			frame.fragment({.id = static_cast<std::uint32_t>(below(3))}); // RFC 6946: an atomic fragment
		}
	}

	// A first or a later fragment, in any order. Few IDs, so that fragments often belong together.
	Frame fragment4(const Flow &flow)
	{
		const bool from_server = one_in(2), first = one_in(2);
		const Ipv4Fields fields{.id = static_cast<std::uint16_t>(below(3)),
					.fragment_offset = static_cast<std::uint16_t>(first ? 0 : 1 + below(3) * 100),
					.more_fragments = first || one_in(2),
					.protocol = static_cast<std::uint16_t>(one_in(8) ? 17 : 6)};
		Frame frame = ethernet(flow);
		ip4(frame, from_server, fields);
		return first ? tcp(frame, flow, from_server) : frame.payload(below(100));
	}

	Frame fragment6(const Flow &flow)
	{
		const bool from_server = one_in(2), first = one_in(2);
		Frame frame = ethernet(flow);
		ip6(frame, from_server);
		if (one_in(4))
			frame.destination();
		frame.fragment({.offset = static_cast<std::uint16_t>(first ? 0 : 1 + below(3) * 100),
				.more = first || one_in(2),
				.id = static_cast<std::uint32_t>(below(3)),
				.next_header = static_cast<std::uint16_t>(one_in(8) ? 17 : 6)});
		return first ? tcp(frame, flow, from_server) : frame.payload(below(100));
	}

	Frame garbage(const Flow &flow)
	{
		Bytes bytes(below(100));
		for (std::uint8_t &b : bytes)
			b = byte();
		if (!bytes.empty() && one_in(2))
			bytes[0] = flow.six ? 0x60 : 0x45;
		Frame frame = ethernet(flow);
		return flow.vlan_tags ? frame.raw(bytes) :
					Frame().ethernet({.type = flow.six ? 0x86dd : 0x0800}).raw(bytes);
	}

	// Sometimes truncates the frame below its length on the wire.
	TimedFrame cut(Bytes bytes)
	{
		const auto wire = static_cast<std::uint32_t>(bytes.size());
		if (one_in(12))
			bytes.resize(below(bytes.size() + 1));
		return {std::move(bytes), now_, wire};
	}

	std::mt19937_64 random_;
	const tcpwin_config config_;
	std::vector<Flow> flows_;
	std::uint64_t now_ = 0;
};

} // namespace tcpwin::test
