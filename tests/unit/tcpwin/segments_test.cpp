// SPDX-License-Identifier: Apache-2.0
//
// Frames that offloading made of several TCP segments: their counts on the wire.
#include <gtest/gtest.h>

#include <cstring>

#include <tcpwin/flow.h>
#include <tcpwin/parse.h>

#include "support/frame.hpp"

namespace tcpwin::test {
namespace {

constexpr __u16 ipv4_and_tcp = 20 + 20;

tcpwin_packet packet_of(const Frame &frame)
{
	const Bytes bytes = frame.bytes();
	tcpwin_packet packet;
	EXPECT_EQ(tcpwin_parse_ethernet(bytes.data(), bytes.data() + bytes.size(), static_cast<__u32>(bytes.size()), 0,
					&packet),
		  TCPWIN_ACCEPTED);
	return packet;
}

tcpwin_packet with_payload(__u32 payload)
{
	tcpwin_packet packet = {};
	packet.segments = 1;
	packet.header_bytes = ipv4_and_tcp;
	packet.bytes = ipv4_and_tcp + payload;
	packet.payload = payload;
	return packet;
}

TEST(Segments, HeadersAreThoseOfIpv4AndTcp)
{
	EXPECT_EQ(packet_of(Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2, TCPWIN_FLAG_ACK)).header_bytes,
		  ipv4_and_tcp);
}

TEST(Segments, HeadersAreThoseOfIpv6ItsExtensionsAndTcp)
{
	const Frame frame = Frame().ethernet()
				    .vlan(5)
				    .ipv6("2001:db8::1", "2001:db8::2")
				    .hop_by_hop({.length = 16})
				    .tcp(1, 2, TCPWIN_FLAG_ACK);
	EXPECT_EQ(packet_of(frame).header_bytes, 40 + 16 + 20);
}

TEST(Segments, EachHasItsOwnHeaders)
{
	tcpwin_packet packet = with_payload(2 * 1448 + 100);
	tcpwin_count_segments(&packet, 3, 1448);
	EXPECT_EQ(packet.segments, 3u);
	EXPECT_EQ(packet.bytes, 3u * ipv4_and_tcp + 2 * 1448 + 100);
}

TEST(Segments, AreCountedHereIfTheSenderDidNot)
{
	tcpwin_packet packet = with_payload(2 * 1448 + 1), full = with_payload(2 * 1448);
	tcpwin_count_segments(&packet, 0, 1448);
	tcpwin_count_segments(&full, 0, 1448);
	EXPECT_EQ(packet.segments, 3u);
	EXPECT_EQ(full.segments, 2u);
}

TEST(Segments, OneThatFitsIsOnePacket)
{
	tcpwin_packet packet = with_payload(1448), none = with_payload(0), plain = with_payload(5000);
	tcpwin_count_segments(&packet, 1, 1448);
	tcpwin_count_segments(&none, 1, 1448);
	tcpwin_count_segments(&plain, 0, 0);
	EXPECT_EQ(packet.segments, 1u);
	EXPECT_EQ(packet.bytes, ipv4_and_tcp + 1448u);
	EXPECT_EQ(none.segments, 1u);
	EXPECT_EQ(plain.segments, 1u);
}

TEST(Segments, AllCountAsPacketsAndAsWindows)
{
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_packet packet = with_payload(3 * 1000);
	packet.tcp_flags = TCPWIN_FLAG_ACK;
	tcpwin_count_segments(&packet, 3, 1000);
	tcpwin_flow flow = {};
	tcpwin_update_flow(&flow, &config, &packet, 0, 1, packet.tcp_flags);
	EXPECT_EQ(flow.direction[0].packets, 3u);
	EXPECT_EQ(flow.direction[0].bytes, 3 * 1040u);
	EXPECT_EQ(flow.direction[0].zero_window_count, 3u);
	EXPECT_EQ(flow.direction[0].state, TCPWIN_STATE_ABRT) << "three zero windows abort";
}

TEST(Hooks, AFlowShowsAllThatSawIt)
{
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_packet packet = with_payload(0);
	tcpwin_flow flow = {};
	packet.hook = TCPWIN_HOOK_XDP;
	tcpwin_update_flow(&flow, &config, &packet, 0, 1, packet.tcp_flags);
	packet.hook = TCPWIN_HOOK_TC_EGRESS;
	tcpwin_update_flow(&flow, &config, &packet, 1, 2, packet.tcp_flags);
	EXPECT_EQ(flow.hooks, TCPWIN_HOOK_XDP | TCPWIN_HOOK_TC_EGRESS);
}

TEST(Scope, KeepsFlowsOfInterfacesApart)
{
	tcpwin_packet packet = with_payload(0), other = packet;
	other.scope = 7;
	tcpwin_key key, other_key;
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_make_key(&packet, &config, &key);
	tcpwin_make_key(&other, &config, &other_key);
	EXPECT_NE(std::memcmp(&key, &other_key, sizeof(key)), 0);
	EXPECT_NE(tcpwin_hash_key(&key), tcpwin_hash_key(&other_key));
}

TEST(TagTakenOff, IsTheVlanUnlessTheFrameHasOneInside)
{
	const auto vlan_of = [](const Frame &frame) {
		const Bytes bytes = frame.bytes();
		tcpwin_packet packet = {};
		tcpwin_parse_ethernet(bytes.data(), bytes.data() + bytes.size(), static_cast<__u32>(bytes.size()), 9,
				      &packet);
		return packet.vlan;
	};
	EXPECT_EQ(vlan_of(Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2, TCPWIN_FLAG_ACK)), 9);
	EXPECT_EQ(vlan_of(Frame().ethernet().vlan(5).ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2, TCPWIN_FLAG_ACK)), 5);
}

} // namespace
} // namespace tcpwin::test
