// SPDX-License-Identifier: Apache-2.0
//
// Random TCP traffic of a few conversations, well-formed and malformed, at times
// on and around every timeout.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "flows.hpp"

namespace tcpwin::test {

class Random {
public:
	explicit Random(uint64_t seed) : engine_(seed) {}

	uint64_t below(uint64_t bound) { return engine_() % bound; }
	bool chance(unsigned percent) { return below(100) < percent; }

	template <typename T>
	const T &one_of(const std::vector<T> &choices)
	{
		return choices[below(choices.size())];
	}

private:
	std::mt19937_64 engine_;
};

struct Conversation {
	std::string address[2];
	uint16_t port[2];
	uint16_t vlan;

	bool is_v6() const { return address[0].find(':') != std::string::npos; }
};

inline const std::vector<Conversation> conversations = {
	{{"10.0.0.1", "10.0.0.2"}, {40000, 80}, 0},
	{{"10.0.0.2", "10.0.0.1"}, {40000, 80}, 0},
	{{"10.0.0.1", "10.0.0.2"}, {40000, 80}, 7},
	{{"10.0.0.1", "10.0.0.2"}, {40001, 1023}, 0},
	{{"10.0.0.1", "10.0.0.2"}, {443, 1024}, 4095},
	{{"10.0.0.1", "10.0.0.1"}, {5000, 5001}, 0},
	{{"10.0.0.1", "10.0.0.1"}, {5000, 5000}, 0}, // land attack
	{{"192.0.2.200", "10.9.8.7"}, {8080, 8081}, 0},
	{{"192.0.2.200", "10.9.8.7"}, {8088, 50000}, 0},
	{{"2001:db8::1", "2001:db8::2"}, {40000, 80}, 0},
	{{"2001:db8::1", "2001:db8::2"}, {40000, 80}, 7},
	{{"2001:db8::1:0:0:1", "2001:db8::2"}, {8089, 50000}, 0},
	{{"fe80::1", "fe80::ffff"}, {22, 22}, 1},
	{{"::ffff:10.0.0.1", "::ffff:10.0.0.2"}, {40000, 80}, 0}, // the first one, as IPv6
};

class Traffic {
public:
	explicit Traffic(Random &random) : random_(random) {}

	Bytes frame(const tcpwin_config &config)
	{
		if (random_.chance(97) || last_.empty()) // else again, as a mirror port delivers it
			last_ = fresh_frame(config);
		return last_;
	}

private:
	Bytes fresh_frame(const tcpwin_config &config)
	{
		Frame frame;
		const Conversation &conversation = random_.one_of(conversations);
		size_t from = random_.below(2);
		add_ethernet(frame, conversation.vlan);
		if (conversation.is_v6())
			add_ipv6(frame, conversation.address[from], conversation.address[!from]);
		else
			add_ipv4(frame, conversation.address[from], conversation.address[!from]);
		add_tcp(frame, conversation.port[from], conversation.port[!from], config);
		if (random_.chance(30))
			frame.pad_to(60);
		return damaged(frame.bytes());
	}

	void add_ethernet(Frame &frame, uint16_t vlan)
	{
		static const std::vector<uint16_t> tpids = {0x8100, 0x88a8, 0x9100, 0x9200};
		size_t depth = random_.chance(80) ? vlan != 0 : random_.chance(10) ? 5 : random_.below(5);

		frame.ethernet();
		for (size_t i = 1; i < depth; i++)
			frame.vlan(static_cast<uint16_t>(random_.below(4096)), {.tpid = random_.one_of(tpids)});
		if (depth > 0)
			frame.vlan(vlan, {.tpid = random_.one_of(tpids), .pcp = byte(8)});
	}

	void add_ipv4(Frame &frame, const std::string &source, const std::string &destination)
	{
		static const std::vector<uint16_t> lengths = {0, 10, 20, 28, 39, 40, 44, 60, 1500, 65535};
		Ipv4Fields fields = {.dont_fragment = random_.chance(50)};

		if (random_.chance(10))
			fields.options = bytes(random_.below(41));
		if (random_.chance(10))
			fields.total_length = random_.one_of(lengths);
		if (random_.chance(3))
			fields.more_fragments = true;
		if (random_.chance(2))
			fields.fragment_offset = static_cast<uint16_t>(1 + random_.below(0x1fff));
		if (random_.chance(2))
			fields.ihl = byte(16);
		frame.ipv4(source, destination, fields);
	}

	void add_ipv6(Frame &frame, const std::string &source, const std::string &destination)
	{
		static const std::vector<uint16_t> lengths = {0, 7, 8, 19, 20, 24, 40, 1400, 65535};
		Ipv6Fields fields;

		if (random_.chance(10))
			fields.payload_length = random_.one_of(lengths);
		frame.ipv6(source, destination, fields);
		for (size_t count = random_.chance(60) ? 0 : random_.below(10); count > 0; count--)
			add_extension(frame);
	}

	void add_extension(Frame &frame)
	{
		size_t units = 1 + (random_.chance(90) ? 0 : random_.below(8));

		switch (random_.below(5)) {
		case 0:
			frame.hop_by_hop({.length = 8 * units});
			break;
		case 1:
			frame.routing({.length = 8 * units});
			break;
		case 2:
			frame.destination({.length = 8 * units});
			break;
		case 3:
			frame.authentication({.length = 8 + 4 * units});
			break;
		default:
			frame.fragment({.offset = static_cast<uint16_t>(random_.chance(5) ? 1 : 0),
					.more = random_.chance(50)});
		}
	}

	void add_tcp(Frame &frame, uint16_t source, uint16_t destination, const tcpwin_config &config)
	{
		TcpFields fields = {.window = window(config), .seq = number(), .ack = number(), .options = options()};
		if (random_.chance(2))
			fields.data_offset = byte(16);
		frame.tcp(source, destination, flags(), fields);
		frame.payload(random_.chance(30) ? random_.below(2) * 10 :
			      random_.chance(60) ? 0 :
			      random_.chance(95) ? random_.below(1400) :
						   random_.below(7000));
	}

	// Few, so that segments often follow, overlap or repeat each other, on both sides of 2^32.
	uint32_t number()
	{
		static const std::vector<uint32_t> few = {0, 1, 2, 10, 11, 12, 20, 21, 0xffffffff, 0xfffffff0};
		return random_.chance(95) ? random_.one_of(few) : static_cast<uint32_t>(random_.below(1ULL << 32));
	}

	uint8_t flags()
	{
		static const std::vector<uint8_t> usual = {
			TCPWIN_FLAG_ACK, TCPWIN_FLAG_ACK,
			TCPWIN_FLAG_ACK, TCPWIN_FLAG_ACK | TCPWIN_FLAG_PSH,
			TCPWIN_FLAG_SYN, TCPWIN_FLAG_ACK | TCPWIN_FLAG_SYN,
			TCPWIN_FLAG_RST, TCPWIN_FLAG_ACK | TCPWIN_FLAG_FIN,
		};
		return random_.chance(80) ? random_.one_of(usual) : byte(256);
	}

	uint16_t window(const tcpwin_config &config)
	{
		std::vector<uint32_t> edges = {0, 1, 2, 65535, config.window_threshold, config.window_threshold - 1};
		return static_cast<uint16_t>(random_.chance(50) ? random_.one_of(edges) : random_.below(65536));
	}

	Bytes options()
	{
		static const std::vector<Bytes> usual = {
			{},         {2, 4, 5, 0xb4, 1, 3, 3, 7},
			{3, 3, 0},  {1, 1, 3, 3, 14},
			{3, 3, 15}, {1, 0, 3, 3, 2},
			{3, 4, 1},
		};
		return random_.chance(85) ? random_.one_of(usual) : bytes(random_.below(41));
	}

	// Mostly unchanged; else with a few other bytes, and truncated.
	Bytes damaged(Bytes frame)
	{
		if (random_.chance(12))
			for (size_t times = 1 + random_.below(3); times > 0; times--)
				frame[random_.below(std::min<size_t>(frame.size(), 100))] = byte(256);
		if (random_.chance(6))
			frame.resize(14 + random_.below(frame.size() - 13));
		return frame;
	}

	uint8_t byte(uint64_t bound) { return static_cast<uint8_t>(random_.below(bound)); }

	Bytes bytes(size_t size)
	{
		Bytes bytes(size);
		for (uint8_t &each : bytes)
			each = byte(random_.chance(50) ? 5 : 256); // small values are kinds and lengths of options
		return bytes;
	}

	Random &random_;
	Bytes last_;
};

} // namespace tcpwin::test
