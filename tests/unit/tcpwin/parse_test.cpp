// SPDX-License-Identifier: Apache-2.0
//
// Frames and their descriptions by the parser, whole and truncated at every byte.
#include "support/frame.hpp"

#include <tcpwin/parse.h>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

using tcpwin::test::Bytes;
using tcpwin::test::Frame;

constexpr __u8 SYN = 0x02, ACK = 0x10;
constexpr int NO_SCALE = 0xff, UNKNOWN_SCALE = 0xfe;

std::string name_of(int reject)
{
	static const char *const names[] = {"accepted",
#define X(name, text, explanation) text,
					    TCPWIN_REJECTS(X)
#undef X
	};
	return names[reject];
}

// ------------------------------------------------------ calling the parser

struct Parsed {
	tcpwin_reject reject;
	tcpwin_packet packet;
};

// Parses the first captured bytes of a frame that had wire_length, at the end of a buffer of exactly that size.
Parsed parse(const Bytes &frame, std::size_t captured, std::size_t wire_length)
{
	std::unique_ptr<__u8[]> exact(new __u8[captured]);
	std::copy_n(frame.begin(), captured, exact.get());
	Parsed result;
	std::memset(&result.packet, 0xa5, sizeof(result.packet)); // so that unwritten fields are detected
	result.reject = tcpwin_parse_ethernet(exact.get(), exact.get() + captured, static_cast<__u32>(wire_length), 0,
					      &result.packet);
	return result;
}

Parsed parse(const Bytes &frame)
{
	return parse(frame, frame.size(), frame.size());
}

tcpwin_reject verdict(const Frame &frame)
{
	return parse(frame.bytes()).reject;
}

// ---------------------------------------------------------- what is expected

struct Expected {
	unsigned bytes;
	unsigned vlan = 0;
	std::string source = "::ffff:10.0.0.1";
	std::string destination = "::ffff:10.0.0.2";
	unsigned source_port = 40000;
	unsigned destination_port = 80;
	unsigned flags = ACK;
	unsigned window = 0x1234;
	int scale = NO_SCALE;
};

std::string text(const Expected &e)
{
	std::ostringstream out;
	out << e.source << "." << e.source_port << " > " << e.destination << "." << e.destination_port << " vlan "
	    << e.vlan << " bytes " << e.bytes << " flags " << e.flags << " window " << e.window << " scale " << e.scale;
	return out.str();
}

std::string text(const tcpwin_address &address)
{
	char buffer[INET6_ADDRSTRLEN];
	return inet_ntop(AF_INET6, address.byte, buffer, sizeof(buffer));
}

std::string text(const Parsed &parsed)
{
	const tcpwin_packet &p = parsed.packet;
	if (parsed.reject)
		return name_of(parsed.reject);
	if (p.segments != 1 || p.scope || p.hook)
		return "fields that only the caller knows are not preset";
	return text(Expected{p.bytes, p.vlan, text(p.source), text(p.destination), p.source_port, p.destination_port,
			     p.tcp_flags, p.window, p.window_scale});
}

Expected ipv6(unsigned bytes)
{
	return {.bytes = bytes, .source = "2001:db8::1", .destination = "2001:db8::2"};
}

// ------------------------------------------------------------ building blocks

Frame &tcp(Frame &frame)
{
	return frame.tcp(40000, 80, ACK, {.window = 0x1234});
}

Frame v4(const tcpwin::test::Ipv4Fields &fields = {})
{
	return tcp(Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2", fields));
}

Frame v6(const std::function<void(Frame &)> &extensions = [](Frame &) {}, const tcpwin::test::Ipv6Fields &fields = {})
{
	Frame frame;
	frame.ethernet().ipv6("2001:db8::1", "2001:db8::2", fields);
	extensions(frame);
	return tcp(frame);
}

Frame tagged(const std::vector<std::pair<__u16, __u16>> &tpids_and_ids)
{
	Frame frame;
	frame.ethernet();
	for (auto [tpid, id] : tpids_and_ids)
		frame.vlan(id, {.tpid = tpid, .pcp = 7});
	return tcp(frame.ipv4("10.0.0.1", "10.0.0.2"));
}

// n extension headers of 8 bytes; the kinds that have this length take turns.
Frame chain(int n)
{
	return v6([n](Frame &frame) {
		for (int i = 0; i < n; i++)
			switch (i % 4) {
			case 0:
				frame.hop_by_hop();
				break;
			case 1:
				frame.routing();
				break;
			case 2:
				frame.destination();
				break;
			case 3:
				frame.fragment();
				break;
			}
	});
}

Frame syn_with(const Bytes &options)
{
	return Frame()
		.ethernet()
		.ipv4("10.0.0.1", "10.0.0.2")
		.tcp(40000, 80, SYN, {.window = 0x1234, .options = options});
}

// ---------------------------------------------------------- accepted frames

struct Accepted {
	std::string name;
	Frame frame;
	std::size_t ip;  // offset of the IP header: 14, and 4 for each VLAN tag
	std::size_t tcp; // offset of the TCP header
	Expected expected;
	std::size_t scale_end = 0; // of a SYN: number of bytes after which the scale, or its absence, is known
	bool no_length = false;    // the IP length is 0
};

std::vector<Accepted> plain_frames()
{
	return {
		{"IPv4", v4(), 14, 34, {.bytes = 40}},
		{"IPv4 with payload", v4().payload(100), 14, 34, {.bytes = 140}},
		{"IPv4 with 4 bytes of options", v4({.options = {1, 1, 1, 0}}), 14, 38, {.bytes = 44}},
		{"IPv4 with 40 bytes of options", v4({.options = Bytes(40, 1)}).payload(1), 14, 74, {.bytes = 81}},
		{"IPv4 with padding", v4().pad_to(60), 14, 34, {.bytes = 40}},
		{"IPv4 not to be fragmented", v4({.dont_fragment = true}), 14, 34, {.bytes = 40}},
		{"IPv4 first fragment", v4({.id = 9, .more_fragments = true}).payload(4), 14, 34, {.bytes = 44}},
		{"IPv4 total length 0", v4({.total_length = 0}).payload(3000), 14, 34, {.bytes = 3040}, 0, true},
		{"IPv4 total length beyond the frame", v4({.total_length = 1500}).payload(10), 14, 34, {.bytes = 50}},
		{"IPv4 largest total length", v4({.total_length = 65535}), 14, 34, {.bytes = 40}},
		{"IPv4 total length just fits", v4({.total_length = 40}).payload(20), 14, 34, {.bytes = 40}},
		{"IPv6", v6(), 14, 54, ipv6(60)},
		{"IPv6 with payload", v6().payload(1000), 14, 54, ipv6(1060)},
		{"IPv6 with padding", v6().pad_to(100), 14, 54, ipv6(60)},
		{"IPv6 payload length 0", v6([](Frame &) {}, {.payload_length = 0}).payload(5), 14, 54, ipv6(65), 0,
		 true},
		{"IPv6 payload length beyond the frame", v6([](Frame &) {}, {.payload_length = 65535}), 14, 54,
		 ipv6(60)},
		{"IPv6 payload length just fits", v6([](Frame &) {}, {.payload_length = 20}).payload(9), 14, 54,
		 ipv6(60)},
	};
}

std::vector<Accepted> tagged_frames()
{
	std::vector<Accepted> frames = {
		{"two tags, innermost id wins",
		 tagged({{0x88a8, 100}, {0x8100, 200}}),
		 22,
		 42,
		 {.bytes = 40, .vlan = 200}},
		{"three tags", tagged({{0x9100, 1}, {0x9200, 2}, {0x8100, 3}}), 26, 46, {.bytes = 40, .vlan = 3}},
		{"four tags",
		 tagged({{0x8100, 1}, {0x8100, 2}, {0x8100, 3}, {0x8100, 4}}),
		 30,
		 50,
		 {.bytes = 40, .vlan = 4}},
		{"four tags of four kinds",
		 tagged({{0x9200, 9}, {0x9100, 8}, {0x88a8, 7}, {0x8100, 6}}),
		 30,
		 50,
		 {.bytes = 40, .vlan = 6}},
		{"innermost id 0 equals untagged",
		 tagged({{0x8100, 5}, {0x8100, 0}}),
		 22,
		 42,
		 {.bytes = 40, .vlan = 0}},
		{"largest id, priority bits are no part of it",
		 tagged({{0x8100, 4095}}),
		 18,
		 38,
		 {.bytes = 40, .vlan = 4095}},
		{"IPv6 in a VLAN",
		 tcp(Frame().ethernet().vlan(7).ipv6("2001:db8::1", "2001:db8::2")),
		 18,
		 58,
		 {.bytes = 60, .vlan = 7, .source = "2001:db8::1", .destination = "2001:db8::2"}},
	};
	for (__u16 tpid : {0x8100, 0x88a8, 0x9100, 0x9200})
		for (std::size_t n = 1; n <= 4; n++)
			frames.push_back({std::to_string(n) + " tags of type " + std::to_string(tpid),
					  tagged(std::vector<std::pair<__u16, __u16>>(n, {tpid, __u16(n)})),
					  14 + 4 * n,
					  34 + 4 * n,
					  {.bytes = 40, .vlan = unsigned(n)}});
	return frames;
}

std::vector<Accepted> extended_frames()
{
	std::vector<Accepted> frames = {
		{"hop-by-hop", v6([](Frame &f) { f.hop_by_hop(); }), 14, 62, ipv6(68)},
		{"hop-by-hop, 24 bytes", v6([](Frame &f) { f.hop_by_hop({.length = 24}); }), 14, 78, ipv6(84)},
		{"routing", v6([](Frame &f) { f.routing({.length = 40}); }), 14, 94, ipv6(100)},
		{"destination", v6([](Frame &f) { f.destination({.length = 16}); }), 14, 70, ipv6(76)},
		{"longest header", v6([](Frame &f) { f.destination({.length = 2048}); }), 14, 2102, ipv6(2108)},
		{"atomic fragment", v6([](Frame &f) { f.fragment(); }), 14, 62, ipv6(68)},
		{"first fragment", v6([](Frame &f) { f.fragment({.more = true}); }).payload(12), 14, 62, ipv6(80)},
		{"authentication, 8 bytes", v6([](Frame &f) { f.authentication({.length = 8}); }), 14, 62, ipv6(68)},
		{"authentication, 12 bytes", v6([](Frame &f) { f.authentication(); }), 14, 66, ipv6(72)},
		{"authentication, 24 bytes", v6([](Frame &f) { f.authentication({.length = 24}); }), 14, 78, ipv6(84)},
		{"authentication, 44 bytes", v6([](Frame &f) { f.authentication({.length = 44}); }), 14, 98, ipv6(104)},
		{"all five", v6([](Frame &f) {
			 f.hop_by_hop({.length = 16}).destination().routing({.length = 24}).fragment().authentication();
		 }),
		 14, 122, ipv6(128)},
	};
	for (int n = 1; n <= 8; n++)
		frames.push_back({std::to_string(n) + " extension headers", chain(n), 14, 54 + 8 * std::size_t(n),
				  ipv6(60 + 8 * unsigned(n))});
	return frames;
}

std::vector<Accepted> tcp_frames()
{
	const Expected syn = {.bytes = 52, .flags = SYN, .scale = 7};
	return {
		{"all flags",
		 Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 65535, 0xff, {.window = 0xffff}),
		 14,
		 34,
		 {.bytes = 40, .source_port = 1, .destination_port = 65535, .flags = 0xff, .window = 0xffff}},
		{"no flags, ports 0",
		 Frame().ethernet().ipv4("0.0.0.0", "255.255.255.255").tcp(0, 0, 0, {.window = 0}),
		 14,
		 34,
		 {.bytes = 40,
		  .source = "::ffff:0.0.0.0",
		  .destination = "::ffff:255.255.255.255",
		  .source_port = 0,
		  .destination_port = 0,
		  .flags = 0,
		  .window = 0}},
		{"SYN of a Linux host", syn_with({2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7}), 14, 34, syn, 66},
		{"data offset beyond the IP packet",
		 Frame().ethernet()
			 .ipv4("10.0.0.1", "10.0.0.2")
			 .tcp(40000, 80, ACK, {.window = 0x1234, .data_offset = 15}),
		 14,
		 34,
		 {.bytes = 40}},
		{"data offset of a SYN beyond the IP packet, padding after it",
		 Frame().ethernet()
			 .ipv4("10.0.0.1", "10.0.0.2", {.total_length = 43})
			 .tcp(40000, 80, SYN, {.window = 0x1234, .options = {1, 3, 3, 7}, .data_offset = 15})
			 .pad_to(90),
		 14,
		 34,
		 {.bytes = 43, .flags = SYN},
		 57},
		{"data offset of a SYN beyond the IP packet, option inside",
		 Frame().ethernet()
			 .ipv4("10.0.0.1", "10.0.0.2")
			 .tcp(40000, 80, SYN, {.window = 0x1234, .options = {1, 3, 3, 7}, .data_offset = 15}),
		 14,
		 34,
		 {.bytes = 44, .flags = SYN, .scale = 7},
		 58},
		{"window scale in IPv6 after extensions",
		 Frame().ethernet()
			 .vlan(5)
			 .ipv6("2001:db8::1", "2001:db8::2")
			 .authentication()
			 .tcp(40000, 80, SYN | ACK, {.window = 0x1234, .options = {3, 3, 9}})
			 .payload(3),
		 18,
		 70,
		 {.bytes = 79,
		  .vlan = 5,
		  .source = "2001:db8::1",
		  .destination = "2001:db8::2",
		  .flags = SYN | ACK,
		  .scale = 9},
		 93},
	};
}

std::vector<Accepted> accepted_frames()
{
	std::vector<Accepted> all;
	for (const auto &some : {plain_frames(), tagged_frames(), extended_frames(), tcp_frames()})
		all.insert(all.end(), some.begin(), some.end());
	return all;
}

TEST(Parse, AcceptsWithAllFields)
{
	for (const Accepted &accepted : accepted_frames())
		EXPECT_EQ(text(parse(accepted.frame.bytes())), text(accepted.expected)) << accepted.name;
}

// ---------------------------------------------------------- rejected frames

TEST(Parse, RejectsOtherProtocols)
{
	EXPECT_EQ(verdict(Frame().ethernet({.type = 0x0806}).payload(28)), TCPWIN_REJECT_NOT_IP) << "ARP";
	EXPECT_EQ(verdict(Frame().ethernet({.type = 38}).payload(38)), TCPWIN_REJECT_NOT_IP) << "IEEE 802.3 length";
	EXPECT_EQ(verdict(Frame().ethernet({.type = 0x0806})), TCPWIN_REJECT_NOT_IP) << "nothing after Ethernet";
	EXPECT_EQ(verdict(Frame().ethernet().vlan(3, {.type = 0x0806}).payload(28)), TCPWIN_REJECT_NOT_IP);
	EXPECT_EQ(verdict(Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").udp(53, 53).payload(20)),
		  TCPWIN_REJECT_NOT_TCP);
	EXPECT_EQ(verdict(Frame().ethernet().ipv6("::1", "::2").udp(53, 53).payload(20)), TCPWIN_REJECT_NOT_TCP);
	EXPECT_EQ(verdict(Frame().ethernet().ipv6("::1", "::2").hop_by_hop().udp(53, 53)), TCPWIN_REJECT_NOT_TCP);
	EXPECT_EQ(verdict(Frame().ethernet().ipv6("::1", "::2", {.next_header = 59})), TCPWIN_REJECT_NOT_TCP);
	EXPECT_EQ(verdict(Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2", {.protocol = 1}).payload(8)),
		  TCPWIN_REJECT_NOT_TCP)
		<< "ICMP, too short for TCP";
	EXPECT_EQ(verdict(tcp(Frame().ethernet().ipv4("1.1.1.1", "2.2.2.2").ipv4("3.3.3.3", "4.4.4.4"))),
		  TCPWIN_REJECT_NOT_TCP)
		<< "tunnel";
}

TEST(Parse, OtherEthernetTypesThatLookLikeTags)
{
	for (__u16 type : {0x8101, 0x88a7, 0x88e7, 0x9101, 0x9300, 0x0081})
		EXPECT_EQ(verdict(Frame().ethernet().vlan(1, {.tpid = type}).ipv4("1.1.1.1", "2.2.2.2").tcp(1, 2, SYN)),
			  TCPWIN_REJECT_NOT_IP)
			<< type;
}

TEST(Parse, RejectsFiveVlanTags)
{
	for (__u16 tpid : {0x8100, 0x88a8, 0x9100, 0x9200})
		EXPECT_EQ(verdict(tagged(std::vector<std::pair<__u16, __u16>>(5, {tpid, 1}))),
			  TCPWIN_REJECT_VLAN_DEPTH);
}

TEST(Parse, RejectsWrongIpVersions)
{
	for (__u8 version = 0; version < 16; version++) {
		EXPECT_EQ(verdict(v4({.version = version})), version == 4 ? TCPWIN_ACCEPTED : TCPWIN_REJECT_IP_VERSION);
		EXPECT_EQ(verdict(v6([](Frame &) {}, {.version = version})),
			  version == 6 ? TCPWIN_ACCEPTED : TCPWIN_REJECT_IP_VERSION);
	}
}

TEST(Parse, RejectsShortIpv4Headers)
{
	for (__u8 ihl = 0; ihl < 5; ihl++)
		EXPECT_EQ(verdict(v4({.ihl = ihl})), TCPWIN_REJECT_IP_HEADER_LENGTH) << +ihl;
}

TEST(Parse, RejectsIpLengthsTooSmallForTcp)
{
	for (__u16 length = 1; length < 40; length++)
		EXPECT_EQ(verdict(v4({.total_length = length}).pad_to(60)), TCPWIN_REJECT_IP_LENGTH) << length;
	for (__u16 length = 1; length < 48; length++)
		EXPECT_EQ(verdict(v4({.options = Bytes(8, 1), .total_length = length})), TCPWIN_REJECT_IP_LENGTH)
			<< length;
	for (__u16 length = 1; length < 20; length++)
		EXPECT_EQ(verdict(v6([](Frame &) {}, {.payload_length = length})), TCPWIN_REJECT_IP_LENGTH) << length;
}

TEST(Parse, RejectsIpv6LengthsTooSmallForExtensionsAndTcp)
{
	auto extensions = [](Frame &frame) {
		frame.hop_by_hop({.length = 16}).authentication({.length = 12}).fragment();
	};

	for (__u16 length = 1; length < 16 + 12 + 8 + 20; length++)
		EXPECT_EQ(verdict(v6(extensions, {.payload_length = length})), TCPWIN_REJECT_IP_LENGTH) << length;
	EXPECT_EQ(verdict(v6(extensions, {.payload_length = 16 + 12 + 8 + 20})), TCPWIN_ACCEPTED);
}

TEST(Parse, IgnoresEverythingBeyondTheIpLength)
{
	auto udp_after = [](std::size_t extension, __u16 payload_length) {
		return Frame()
			.ethernet()
			.ipv6("::1", "::2", {.payload_length = payload_length})
			.hop_by_hop({.length = extension})
			.udp(53, 53)
			.pad_to(100);
	};
	EXPECT_EQ(verdict(udp_after(8, 7)), TCPWIN_REJECT_IP_LENGTH) << "ends in the first 8 bytes of an extension";
	EXPECT_EQ(verdict(udp_after(16, 15)), TCPWIN_REJECT_IP_LENGTH) << "ends later in an extension";
	EXPECT_EQ(verdict(udp_after(16, 16)), TCPWIN_REJECT_NOT_TCP) << "the extension is whole";
	EXPECT_EQ(verdict(v6([](Frame &f) { f.fragment({.offset = 9}); }, {.payload_length = 7})),
		  TCPWIN_REJECT_IP_LENGTH)
		<< "ends in the fragment header";
	EXPECT_EQ(verdict(v4({.ihl = 15, .total_length = 22})), TCPWIN_REJECT_IP_LENGTH) << "smaller than its header";
}

TEST(Parse, RejectsTinyFirstFragments)
{
	auto tiny = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2", {.more_fragments = true, .protocol = 6}).payload(8);
	EXPECT_EQ(verdict(tiny), TCPWIN_REJECT_IP_LENGTH);
	EXPECT_EQ(verdict(tiny.pad_to(60)), TCPWIN_REJECT_IP_LENGTH);
}

TEST(Parse, RejectsLaterFragments)
{
	for (__u16 offset : {1, 185, 0x1000, 0x1fff})
		for (bool more : {false, true}) {
			EXPECT_EQ(verdict(v4({.fragment_offset = offset, .more_fragments = more})),
				  TCPWIN_REJECT_LATER_FRAGMENT)
				<< offset;
			EXPECT_EQ(verdict(v6([=](Frame &f) { f.fragment({.offset = offset, .more = more}); })),
				  TCPWIN_REJECT_LATER_FRAGMENT)
				<< offset;
		}
	EXPECT_EQ(verdict(v6([](Frame &f) { f.hop_by_hop().fragment({.offset = 9}); })), TCPWIN_REJECT_LATER_FRAGMENT);
}

TEST(Parse, LaterFragmentsCarryNoHeader)
{
	auto one_byte = [](__u8 protocol) {
		return Frame()
			.ethernet()
			.ipv4("1.1.1.1", "2.2.2.2", {.fragment_offset = 185, .protocol = protocol})
			.payload(1);
	};
	EXPECT_EQ(verdict(one_byte(6)), TCPWIN_REJECT_LATER_FRAGMENT) << "not too small for TCP";
	EXPECT_EQ(verdict(one_byte(17)), TCPWIN_REJECT_NOT_TCP);

	auto one_byte6 = [](__u16 protocol) {
		return Frame()
			.ethernet()
			.ipv6("::1", "::2")
			.fragment({.offset = 185, .next_header = protocol})
			.payload(1);
	};
	EXPECT_EQ(verdict(one_byte6(6)), TCPWIN_REJECT_LATER_FRAGMENT);
	EXPECT_EQ(verdict(one_byte6(17)), TCPWIN_REJECT_NOT_TCP);
	EXPECT_EQ(verdict(one_byte6(60)), TCPWIN_REJECT_LATER_FRAGMENT) << "the options, and TCP, are in the first";
}

TEST(Parse, RejectsMoreThanEightExtensionHeaders)
{
	EXPECT_EQ(verdict(chain(8)), TCPWIN_ACCEPTED);
	EXPECT_EQ(verdict(chain(9)), TCPWIN_REJECT_IPV6_EXTENSIONS);
	EXPECT_EQ(verdict(chain(20)), TCPWIN_REJECT_IPV6_EXTENSIONS);
}

TEST(Parse, RejectsShortDataOffsets)
{
	for (__u8 words = 0; words < 16; words++) {
		auto frame = Frame().ethernet()
				     .ipv4("1.1.1.1", "2.2.2.2")
				     .tcp(1, 2, SYN, {.data_offset = words})
				     .payload(40);
		EXPECT_EQ(verdict(frame), words < 5 ? TCPWIN_REJECT_TCP_DATA_OFFSET : TCPWIN_ACCEPTED) << +words;
	}
}

TEST(Parse, ChecksumsAreNeverChecked)
{
	Bytes frame = v4().bytes();
	frame[14 + 10] ^= 0xff;
	frame[34 + 16] ^= 0xff;
	EXPECT_EQ(text(parse(frame)), text(Expected{.bytes = 40}));
}

// ------------------------------------------------------------- window scale

int scale_of(const Frame &frame)
{
	Parsed parsed = parse(frame.bytes());
	EXPECT_EQ(parsed.reject, TCPWIN_ACCEPTED);
	return parsed.packet.window_scale;
}

TEST(WindowScale, IsFoundAtEveryPositionAfterNops)
{
	for (std::size_t nops = 0; nops <= 37; nops++) {
		Bytes options(nops, 1);
		options.insert(options.end(), {3, 3, 11});
		EXPECT_EQ(scale_of(syn_with(options)), 11) << nops << " NOPs";
	}
}

TEST(WindowScale, IsFoundAfterOtherOptions)
{
	EXPECT_EQ(scale_of(syn_with({2, 4, 5, 180, 3, 3, 1})), 1);
	EXPECT_EQ(scale_of(syn_with({2, 4, 5, 180, 4, 2, 8, 10, 3, 3, 3, 3, 3, 3, 3, 3, 1, 3, 3, 7})), 7)
		<< "a timestamp of threes is skipped";
	EXPECT_EQ(scale_of(syn_with({253, 2, 254, 3, 0, 34, 4, 0, 0, 3, 3, 2})), 2) << "unknown options";
	EXPECT_EQ(scale_of(syn_with({3, 3, 4, 2, 4, 5, 180})), 4) << "first of all";
}

TEST(WindowScale, IsAtMostFourteen)
{
	for (int scale = 0; scale < 256; scale++)
		EXPECT_EQ(scale_of(syn_with({3, 3, __u8(scale)})), std::min(scale, 14));
}

TEST(WindowScale, IsAbsentWithoutTheOption)
{
	EXPECT_EQ(scale_of(syn_with({})), NO_SCALE);
	EXPECT_EQ(scale_of(syn_with({1, 1, 1, 1})), NO_SCALE);
	EXPECT_EQ(scale_of(syn_with(Bytes(40, 1))), NO_SCALE);
	EXPECT_EQ(scale_of(syn_with({2, 4, 5, 180})), NO_SCALE);
}

TEST(WindowScale, IsIgnoredAfterTheEndOfOptions)
{
	EXPECT_EQ(scale_of(syn_with({0, 3, 3, 7})), NO_SCALE);
	EXPECT_EQ(scale_of(syn_with({2, 4, 5, 180, 1, 0, 3, 3, 7})), NO_SCALE);
}

TEST(WindowScale, IsIgnoredWithAWrongLength)
{
	for (__u8 length : {0, 1, 2, 4, 8, 255})
		EXPECT_EQ(scale_of(syn_with({3, length, 7, 0})), NO_SCALE) << +length;
}

TEST(WindowScale, IsNotFoundAfterAnOptionOfImpossibleLength)
{
	for (__u8 length : {0, 1, 41, 255})
		EXPECT_EQ(scale_of(syn_with({8, length, 1, 3, 3, 7})), NO_SCALE) << +length;
}

TEST(WindowScale, IsIgnoredBeyondTheHeader)
{
	for (Bytes header : {Bytes{1, 1, 3, 3}, Bytes{1, 1, 1, 3}}) {
		Bytes options = header;
		options.insert(options.end(), {7, 7, 7, 7}); // payload: the data offset ends before it
		auto frame = Frame().ethernet()
				     .ipv4("1.1.1.1", "2.2.2.2")
				     .tcp(1, 2, SYN, {.options = options, .data_offset = 6});
		EXPECT_EQ(scale_of(frame), NO_SCALE);
	}
	auto payload = Frame().ethernet().ipv4("1.1.1.1", "2.2.2.2").tcp(1, 2, SYN).raw({3, 3, 7, 0});
	EXPECT_EQ(scale_of(payload), NO_SCALE) << "payload that looks like the option";
}

TEST(WindowScale, IsIgnoredBeyondTheIpPacket)
{
	for (__u16 length = 40; length <= 44; length++) {
		auto frame = Frame().ethernet()
				     .ipv4("1.1.1.1", "2.2.2.2", {.total_length = length})
				     .tcp(1, 2, SYN, {.options = {1, 3, 3, 7}});
		EXPECT_EQ(scale_of(frame), length < 44 ? NO_SCALE : 7) << length;
	}
}

TEST(WindowScale, BelongsToSynsOnly)
{
	for (int flags = 0; flags < 256; flags++) {
		auto frame =
			Frame().ethernet().ipv4("1.1.1.1", "2.2.2.2").tcp(1, 2, __u8(flags), {.options = {3, 3, 7}});
		EXPECT_EQ(scale_of(frame), flags & SYN ? 7 : NO_SCALE) << flags;
	}
}

// ---------------------------------------------------------- truncated frames

// Why the first n bytes of an acceptable frame are rejected.
tcpwin_reject expected_when_cut(const Accepted &whole, std::size_t n)
{
	if (n < whole.ip)
		return TCPWIN_REJECT_ETHERNET_TRUNCATED;
	if (n < whole.tcp)
		return TCPWIN_REJECT_IP_TRUNCATED;
	if (n < whole.tcp + 20)
		return TCPWIN_REJECT_TCP_TRUNCATED;
	return TCPWIN_ACCEPTED;
}

Expected fields_when_cut(const Accepted &whole, std::size_t n)
{
	Expected fields = whole.expected;
	if (n < whole.scale_end) // not seen yet: the rest might have contained it
		fields.scale = UNKNOWN_SCALE;
	return fields;
}

TEST(Truncated, CaptureOfAnyLengthGivesTheFieldsOrTheTruncatedLayer)
{
	for (const Accepted &whole : accepted_frames()) {
		const Bytes frame = whole.frame.bytes();
		for (std::size_t n = 0; n <= frame.size(); n++) {
			tcpwin_reject reject = expected_when_cut(whole, n);
			std::string expected = reject ? name_of(reject) : text(fields_when_cut(whole, n));
			ASSERT_EQ(text(parse(frame, n, frame.size())), expected)
				<< whole.name << ", " << n << " of " << frame.size() << " bytes captured";
		}
	}
}

// As XDP sees it: the frame itself is truncated, its IP length is larger. The reason must not be the length.
TEST(Truncated, FrameThatEndsEarlyIsTruncatedNotOfTooSmallIpLength)
{
	for (const Accepted &whole : accepted_frames()) {
		const Bytes frame = whole.frame.bytes();
		for (std::size_t n = 0; n < whole.tcp + 20 && !whole.no_length; n++)
			ASSERT_EQ(name_of(parse(frame, n, n).reject), name_of(expected_when_cut(whole, n)))
				<< whole.name << ", frame of " << n << " bytes";
	}
}

TEST(Truncated, FrameThatEndsAfterTheTcpHeaderHasTheBytesOfTheFrame)
{
	for (const Accepted &whole : accepted_frames()) {
		const Bytes frame = whole.frame.bytes();
		for (std::size_t n = whole.tcp + 20; n < frame.size(); n++) {
			Expected expected = fields_when_cut(whole, n);
			expected.bytes = std::min(expected.bytes, unsigned(n - whole.ip));
			ASSERT_EQ(text(parse(frame, n, n)), text(expected))
				<< whole.name << ", frame of " << n << " bytes";
		}
	}
}

TEST(Truncated, VlanTagsAreCountedBeforeTheFrameIsTooShort)
{
	const Bytes five = tagged(std::vector<std::pair<__u16, __u16>>(5, {0x8100, 1})).bytes();

	for (std::size_t n = 0; n <= five.size(); n++)
		EXPECT_EQ(parse(five, n, five.size()).reject,
			  n < 30 ? TCPWIN_REJECT_ETHERNET_TRUNCATED : TCPWIN_REJECT_VLAN_DEPTH)
			<< n;
}

// Memory whose last byte is followed by an inaccessible page; works without a sanitizer.
class Brink {
public:
	Brink()
	{
		void *all = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (all == MAP_FAILED || mprotect(static_cast<__u8 *>(all) + page_, page_, PROT_NONE))
			throw std::bad_alloc();
		start_ = static_cast<__u8 *>(all);
	}
	~Brink() { munmap(start_, 2 * page_); }
	Brink(const Brink &) = delete;
	Brink &operator=(const Brink &) = delete;

	tcpwin_reject parse(const Bytes &frame, std::size_t captured, std::size_t wire_length)
	{
		__u8 *end = start_ + page_;
		std::copy_n(frame.begin(), captured, end - captured);
		tcpwin_packet packet;
		return tcpwin_parse_ethernet(end - captured, end, static_cast<__u32>(wire_length), 0, &packet);
	}

private:
	std::size_t page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
	__u8 *start_;
};

TEST(Truncated, NothingBeyondTheEndIsRead)
{
	Brink brink;
	for (const Accepted &whole : accepted_frames()) {
		const Bytes frame = whole.frame.bytes();
		for (std::size_t n = 0; n <= frame.size(); n++) {
			EXPECT_EQ(brink.parse(frame, n, frame.size()), expected_when_cut(whole, n));
			EXPECT_EQ(brink.parse(frame, n, n) == TCPWIN_ACCEPTED, n >= whole.tcp + 20);
		}
	}
}

// Bytes that do not affect the parsing of others are random, and the end is truncated.
TEST(Truncated, DamagedFramesAreAcceptedOrNamed)
{
	std::mt19937 random(17);
	std::vector<int> seen(TCPWIN_REJECT_COUNT);
	Brink brink;

	for (const Accepted &whole : accepted_frames())
		for (int i = 0; i < 5000; i++) {
			Bytes frame = whole.frame.bytes();
			for (int changes = 1 + int(random() % 3); changes > 0; changes--)
				frame[random() % std::min<std::size_t>(frame.size(), 140)] = __u8(random());
			std::size_t n = random() % 2 ? frame.size() : random() % (frame.size() + 1);
			tcpwin_reject reject = brink.parse(frame, n, random() % 2 ? n : frame.size());
			ASSERT_LT(reject, TCPWIN_REJECT_COUNT);
			seen[reject]++;
		}
	EXPECT_THAT(seen, testing::Each(testing::Gt(0))) << "the damage reaches every reason";
}

} // namespace
