// SPDX-License-Identifier: Apache-2.0
//
// Stall analysis: hand-made frames through the parser into a flow, and what its
// record says.
#include <tcpwin/flow.h>
#include <tcpwin/parse.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <string>

#include "record/analysis.hpp"
#include "support/frame.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tcpwin::Analysis;
using tcpwin::test::Bytes;
using tcpwin::test::Frame;
using tcpwin::test::TcpFields;
using testing::Eq;
using testing::Optional;

constexpr __u8 FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10;
constexpr auto none = std::nullopt;
constexpr nanoseconds wall_offset = -1s; // the clock is a second ahead of Connection::at
const tcpwin_config long_timeouts = [] {
	tcpwin_config config = TCPWIN_TUTORIAL_CONFIG;
	for (__u64 &timeout : config.timeout_ns)
		timeout = 1'000'000'000'000;
	config.abort_count = 1'000'000;
	return config;
}();

enum Who { reader, writer };

// Counts the packet as the engines do. Whether the fast path could.
bool count_packet(tcpwin_flow &flow, const tcpwin_config &config, const tcpwin_packet &packet, __u32 from, __u64 now)
{
	const bool quiet = tcpwin_is_quiet(&flow, &config, &packet, from, now, 1);
	if (quiet)
		tcpwin_count_packet(&flow, &config, &packet, from, now, 1);
	else
		tcpwin_count_packet_slow(&flow, &config, &packet, from, now, 1);
	return quiet;
}

// One connection: 10.0.0.1:1000 (the reader, endpoint 0) and 10.0.0.2:2000 (the writer).
class Connection {
public:
	struct Segment {
		__u8 flags = ACK;
		std::uint32_t seq = 1;
		std::uint32_t ack = 1;
		std::uint16_t window = 1000;
		std::size_t payload = 0;
		Bytes options = {};
		std::size_t cut = 0; // bytes of the frame that were not captured
	};

	Connection &at(nanoseconds now)
	{
		now_ = now;
		return *this;
	}

	Connection &send(Who who, const Segment &segment)
	{
		Frame frame = Frame().ethernet();
		const TcpFields fields{
			.window = segment.window, .seq = segment.seq, .ack = segment.ack, .options = segment.options};
		if (who == reader)
			frame.ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 2000, segment.flags, fields);
		else
			frame.ipv4("10.0.0.2", "10.0.0.1").tcp(2000, 1000, segment.flags, fields);
		const Bytes bytes = frame.payload(segment.payload).bytes();
		tcpwin_packet packet;
		EXPECT_EQ(tcpwin_parse_ethernet(bytes.data(), bytes.data() + bytes.size() - segment.cut,
						static_cast<__u32>(bytes.size()), 0, &packet),
			  TCPWIN_ACCEPTED);
		packet.segments = segments_;
		packet.id = ++id_;
		count(packet, who);
		return *this;
	}
	Connection &syn(Who who, std::uint32_t seq, const Bytes &options = {}, std::uint16_t window = 1000)
	{
		return send(who, {.flags = SYN, .seq = seq, .ack = 0, .window = window, .options = options});
	}
	Connection &syn_ack(Who who, std::uint32_t seq, std::uint32_t ack, const Bytes &options = {},
			    std::uint16_t window = 1000)
	{
		return send(who, {.flags = SYN | ACK, .seq = seq, .ack = ack, .window = window, .options = options});
	}
	Connection &ack(Who who, std::uint32_t seq, std::uint32_t ack, std::uint16_t window)
	{
		return send(who, {.seq = seq, .ack = ack, .window = window});
	}
	Connection &data(Who who, std::uint32_t seq, std::size_t payload, std::uint32_t ack = 1,
			 std::uint16_t window = 1000)
	{
		return send(who, {.seq = seq, .ack = ack, .window = window, .payload = payload});
	}
	// Each of the next frames stands for this many segments.
	Connection &offloaded(__u16 segments)
	{
		segments_ = segments;
		return *this;
	}

	Analysis of(Who who, tcpwin_end_reason reason = TCPWIN_END_SHUTDOWN) const
	{
		tcpwin_record record{};
		record.flow = flow;
		record.reason = static_cast<__u8>(reason);
		return *tcpwin::make_analysis(record, who, wall_offset);
	}

	tcpwin_flow flow{};

private:
	void count(const tcpwin_packet &packet, Who who)
	{
		const auto now = static_cast<__u64>((now_ + 1s).count());
		if (!flow.id)
			tcpwin_begin_flow(&flow, 1, 0, &packet, who, 0);
		count_packet(flow, long_timeouts, packet, who, now);
	}

	nanoseconds now_ = 0s;
	__u16 segments_ = 1;
	__u32 id_ = 0;
};

// Both have sent: both are at sequence number 1, with windows of 1000.
Connection open_connection()
{
	Connection c;
	c.ack(writer, 1, 1, 1000).ack(reader, 1, 1, 1000);
	return c;
}

const Bytes scale_7 = {3, 3, 7}, scale_2 = {3, 3, 2}, scale_15 = {3, 3, 15};

Connection scaled_connection()
{
	Connection c;
	c.syn(reader, 0, scale_7, 65'535).syn_ack(writer, 0, 1, scale_2).ack(reader, 1, 1, 500);
	return c;
}

// ------------------------------------------------------- zero windows, episodes

TEST(Stall, CountsZeroWindowsWithAckAndWithoutSynFinRst)
{
	for (int flags = 0; flags < 256; flags++) {
		Connection c = open_connection();
		c.send(reader, {.flags = static_cast<__u8>(flags), .window = 0});
		const bool counts = (flags & (ACK | SYN | FIN | RST)) == ACK;
		EXPECT_EQ(c.of(reader).stall.zero_window_segments, counts) << flags;
		EXPECT_EQ(c.of(reader).stall.episodes, counts) << flags;
	}
}

TEST(Stall, TheStateMachineCountsSeparately)
{
	Connection c = open_connection();
	c.send(reader, {.flags = RST, .window = 0});
	EXPECT_EQ(c.flow.direction[reader].zero_window_count, 1u);
	EXPECT_EQ(c.of(reader).stall.zero_window_segments, 0u);
}

TEST(Stall, BelongsToTheEndpointWhoseWindowIsClosed)
{
	Connection c = open_connection();
	c.ack(reader, 1, 1, 0);
	EXPECT_EQ(c.of(reader).stall.episodes, 1u);
	EXPECT_EQ(c.of(writer).stall.episodes, 0u);
}

TEST(Stall, LastsFromTheFirstZeroToTheFirstWindow)
{
	Connection c = open_connection();
	c.at(1s).ack(reader, 1, 1, 0).at(2s).ack(reader, 1, 1, 0).at(5s).ack(reader, 1, 1, 1);
	const auto stall = c.of(reader).stall;
	EXPECT_EQ(stall.zero_window_segments, 2u);
	EXPECT_EQ(stall.episodes, 1u);
	EXPECT_EQ(stall.total, 4s);
	EXPECT_EQ(stall.longest, 4s);
	EXPECT_FALSE(stall.open);
	EXPECT_THAT(stall.last_ended, Optional(Eq("resumed")));
}

TEST(Stall, AddsUpEpisodesAndKeepsTheLongest)
{
	Connection c = open_connection();
	c.at(1s).ack(reader, 1, 1, 0).at(4s).ack(reader, 1, 1, 9);
	c.at(10s).ack(reader, 1, 1, 0).at(11s).ack(reader, 1, 1, 9);
	const auto stall = c.of(reader).stall;
	EXPECT_EQ(stall.episodes, 2u);
	EXPECT_EQ(stall.total, 4s);
	EXPECT_EQ(stall.longest, 3s);
}

TEST(Stall, ReportsWhenTheLastBegan)
{
	Connection c = open_connection();
	const auto began = [&] {
		const auto time = c.of(reader).stall.last_began_ns;
		return time ? std::optional(time->time_since_epoch()) : none;
	};
	EXPECT_EQ(began(), none);
	c.at(1s).ack(reader, 1, 1, 0).at(2s).ack(reader, 1, 1, 0);
	EXPECT_EQ(began(), 1s) << "while it is open";
	c.at(4s).ack(reader, 1, 1, 9);
	EXPECT_EQ(began(), 1s) << "and when it has ended";
	c.at(10s).ack(reader, 1, 1, 0).at(11s).ack(reader, 1, 1, 9);
	EXPECT_EQ(began(), 10s);
}

TEST(Stall, AnOldSegmentNeitherOpensNorCloses)
{
	Connection c = open_connection();
	c.at(1s).ack(reader, 1, 501, 0).at(2s).ack(reader, 1, 301, 200);
	EXPECT_TRUE(c.of(reader).stall.open) << "its acknowledgement number goes back";
	c.at(3s).ack(reader, 1, 501, 1000).at(4s).ack(reader, 1, 401, 0);
	EXPECT_FALSE(c.of(reader).stall.open);
	EXPECT_EQ(c.of(reader).stall.episodes, 1u);
	EXPECT_EQ(c.of(reader).stall.zero_window_segments, 2u) << "stale ones are counted, too";
	EXPECT_EQ(c.of(reader).stall.total, 2s);
}

TEST(Stall, AcknowledgementNumbersPassZero)
{
	Connection c;
	c.ack(reader, 1, 0xffff'fff0, 100).at(1s).ack(reader, 1, 0x10, 0).at(2s).ack(reader, 1, 0x20, 100);
	EXPECT_THAT(c.of(reader).stall.last_ended, Optional(Eq("resumed")));
}

TEST(Stall, OpenAtTheEndCountsUpToTheLastPacketOfTheFlow)
{
	Connection c = open_connection();
	c.at(1s).ack(reader, 1, 1, 0).at(4s).ack(writer, 0, 1, 1000);
	const auto stall = c.of(reader).stall;
	EXPECT_TRUE(stall.open);
	EXPECT_EQ(stall.total, 3s) << "the writer's packet is the last";
	EXPECT_EQ(stall.longest, 3s);
	EXPECT_EQ(stall.last_ended, none) << "the flow was cut, not the stall ended";
	EXPECT_THAT(c.of(reader, TCPWIN_END_IDLE_TIMEOUT).stall.last_ended, Optional(Eq("timeout")));
	EXPECT_THAT(c.of(reader, TCPWIN_END_ABORT_TIMEOUT).stall.last_ended, Optional(Eq("timeout")));
	EXPECT_EQ(c.of(reader, TCPWIN_END_INTERFACE_GONE).stall.last_ended, none);
}

TEST(Stall, EndsWithTheReadersFin)
{
	Connection c = open_connection();
	c.at(1s).ack(reader, 1, 1, 0).at(2s).send(reader, {.flags = FIN | ACK, .window = 0});
	EXPECT_FALSE(c.of(reader).stall.open);
	EXPECT_EQ(c.of(reader).stall.total, 1s);
	EXPECT_THAT(c.of(reader).stall.last_ended, Optional(Eq("fin")));
}

TEST(Stall, EndsWhenThePeerNoLongerWaits)
{
	Connection c = open_connection();
	c.data(writer, 1, 100).at(1s).ack(reader, 1, 101, 0).at(2s).send(writer, {.flags = FIN | ACK, .seq = 101});
	EXPECT_TRUE(c.of(reader).stall.open) << "the FIN itself waits";
	c.at(3s).ack(reader, 1, 102, 0);
	EXPECT_THAT(c.of(reader).stall.last_ended, Optional(Eq("fin")));
	EXPECT_EQ(c.of(reader).stall.total, 2s);
	c.at(4s).ack(reader, 1, 102, 0);
	EXPECT_EQ(c.of(reader).stall.episodes, 1u);
}

TEST(Stall, EndsWithAResetOfEither)
{
	for (Who who : {reader, writer}) {
		Connection c = open_connection();
		c.at(1s).ack(reader, 1, 1, 0).at(3s).send(who, {.flags = RST, .window = 0});
		EXPECT_EQ(c.of(reader).stall.total, 2s);
		EXPECT_THAT(c.of(reader).stall.last_ended, Optional(Eq("reset")));
	}
}

TEST(Stall, NoDurationIsNegative)
{
	Connection c = open_connection();
	c.at(5s).ack(reader, 1, 1, 0).at(2s).ack(reader, 1, 1, 10);
	EXPECT_EQ(c.of(reader).stall.total, 0s);
	c.at(9s).ack(reader, 1, 1, 0);
	EXPECT_EQ(c.of(reader).stall.total, 0s);
}

TEST(Stall, CountsSegmentsOfAnOffloadedFrame)
{
	Connection c = open_connection();
	c.offloaded(3).send(reader, {.window = 0, .payload = 3000});
	EXPECT_EQ(c.of(reader).stall.zero_window_segments, 3u);
	EXPECT_EQ(c.of(reader).tcp.payload_bytes, 3000u);
}

// ---------------------------------------------------- probes, keep-alives, updates

TEST(Stall, ProbesOfEveryStack)
{
	struct {
		std::uint32_t seq;
		std::size_t payload;
		std::uint32_t probes, keep_alives;
		const char *what;
	} const cases[] = {
		{101, 1, 1, 0, "the next byte"},
		{100, 1, 1, 0, "the last byte again"},
		{100, 0, 1, 0, "nothing at next - 1: Linux"},
		{101, 0, 1, 0, "nothing at next, and nothing to acknowledge"},
		{101, 2, 0, 0, "more than a byte"},
		{99, 1, 0, 0, "a number further back"},
	};
	for (const auto &one : cases) {
		Connection c = open_connection();
		c.data(writer, 1, 100).ack(reader, 1, 101, 0).data(writer, one.seq, one.payload);
		EXPECT_EQ(c.of(reader).stall.probes, one.probes) << one.what;
		EXPECT_EQ(c.of(writer).tcp.keep_alives, one.keep_alives) << one.what;
		EXPECT_EQ(c.of(writer).stall.probes, 0u);
	}
}

TEST(Stall, TheSameShapeIsAKeepAliveIfTheWindowIsOpen)
{
	for (std::size_t payload : {0, 1}) {
		Connection c = open_connection();
		c.data(writer, 1, 100).ack(reader, 1, 101, 900).data(writer, 100, payload);
		EXPECT_EQ(c.of(reader).stall.probes, 0u);
		EXPECT_EQ(c.of(writer).tcp.keep_alives, 1u);
		EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 0u);
	}
}

TEST(Stall, AnAcknowledgementIsNotAProbe)
{
	Connection c = open_connection();
	c.data(writer, 1, 100).ack(reader, 1, 101, 0);
	c.data(reader, 1, 50, 101, 0).ack(writer, 101, 51, 1000);
	c.data(reader, 1, 50, 101, 0).ack(writer, 101, 51, 1000);
	EXPECT_EQ(c.of(reader).stall.probes, 0u) << "the second acknowledges a retransmission";
	c.ack(writer, 101, 51, 1000);
	EXPECT_EQ(c.of(reader).stall.probes, 1u) << "nothing was to be acknowledged";
}

TEST(Stall, AnswersOfProbesProlongTheEpisode)
{
	Connection c = open_connection();
	c.data(writer, 1, 100).at(1s).ack(reader, 1, 101, 0);
	c.at(2s).data(writer, 100, 0).ack(reader, 1, 101, 0).at(4s).data(writer, 101, 1).ack(reader, 1, 101, 0);
	c.at(8s).data(writer, 101, 1).ack(reader, 1, 102, 5000);
	const auto stall = c.of(reader).stall;
	EXPECT_THAT(stall.probes, Optional(3u));
	EXPECT_THAT(stall.probe_answers, Optional(2u)) << "the last opens the window";
	EXPECT_EQ(stall.episodes, 1u);
	EXPECT_EQ(stall.total, 7s);
}

TEST(Stall, DataAfterAProbeIsNotSentAgain)
{
	for (std::uint32_t let_in : {0, 1}) {
		Connection c = open_connection();
		c.data(writer, 1, 100).ack(reader, 1, 101, 0).data(writer, 101, 1).ack(reader, 1, 101 + let_in, 0);
		c.ack(reader, 1, 101 + let_in, 5000).data(writer, 101 + let_in, 500);
		EXPECT_EQ(c.of(writer).tcp.retransmitted_segments + c.of(writer).tcp.out_of_order_segments, 0u)
			<< let_in;
		EXPECT_THAT(c.of(writer).tcp.bytes_in_flight_max, Optional(500u));
	}
}

TEST(Window, AnUpdateHasNoPayloadANewWindowAndNoNewAck)
{
	Connection c = open_connection();
	EXPECT_EQ(c.ack(reader, 1, 1, 1000).of(reader).window.updates, 0u) << "the same";
	EXPECT_EQ(c.ack(reader, 1, 1, 2000).of(reader).window.updates, 1u);
	EXPECT_EQ(c.ack(reader, 1, 1, 1500).of(reader).window.updates, 2u) << "smaller is changed, too";
	EXPECT_EQ(c.ack(reader, 1, 2, 1400).of(reader).window.updates, 2u) << "acknowledges";
	EXPECT_EQ(c.data(reader, 1, 10, 2, 1300).of(reader).window.updates, 2u) << "payload";
	EXPECT_EQ(c.ack(reader, 11, 2, 0).of(reader).window.updates, 2u) << "zero";
	EXPECT_EQ(c.ack(reader, 11, 2, 99).of(reader).window.updates, 3u) << "after zero";
	EXPECT_EQ(c.ack(reader, 10, 2, 98).of(reader).window.updates, 3u) << "a keep-alive";
}

TEST(Window, AnUpdateMayFollowASynAck)
{
	Connection c;
	c.syn(reader, 0, scale_7).syn_ack(writer, 0, 1, scale_2, 400).ack(writer, 1, 1, 100);
	EXPECT_EQ(c.of(writer).window.updates, 0u) << "the same in bytes";
	Connection shielded;
	shielded.syn(reader, 0, scale_7).syn_ack(writer, 0, 1, scale_2, 0).ack(writer, 1, 1, 100);
	EXPECT_EQ(shielded.of(writer).window.updates, 1u);
}

// -------------------------------------------------------------------- scale

TEST(Window, ScalesIfBothSynsHaveTheOption)
{
	const auto window = scaled_connection().of(reader).window;
	EXPECT_THAT(window.scale.shift, Optional(7));
	EXPECT_THAT(window.last, Optional(500u << 7));
	EXPECT_THAT(window.min, Optional(500u << 7));
	EXPECT_THAT(window.max, Optional(500u << 7)) << "the SYN's 65535 are not scaled, and not among them";
	EXPECT_THAT(scaled_connection().of(writer).window.scale.shift, Optional(2));
}

TEST(Window, ShiftsFourteenAtMost)
{
	Connection c;
	c.syn(reader, 0, scale_15).syn_ack(writer, 0, 1, scale_7).ack(reader, 1, 1, 3);
	EXPECT_THAT(c.of(reader).window.scale.shift, Optional(14));
	EXPECT_THAT(c.of(reader).window.last, Optional(3u << 14));
}

TEST(Window, IsUnscaledIfEitherSynLacksTheOption)
{
	for (int without : {0, 1}) {
		Connection c;
		c.syn(reader, 0, without == 0 ? Bytes() : scale_7)
			.syn_ack(writer, 0, 1, without == 1 ? Bytes() : scale_7);
		c.ack(reader, 1, 1, 500);
		for (Who who : {reader, writer}) {
			EXPECT_TRUE(c.of(who).window.scale.is_known);
			EXPECT_EQ(c.of(who).window.scale.shift, none);
		}
		EXPECT_THAT(c.of(reader).window.last, Optional(500u));
	}
}

TEST(Window, IsUnknownInBytesWithoutTheHandshake)
{
	Connection c = open_connection();
	c.ack(reader, 1, 1, 0);
	const auto window = c.of(reader).window;
	EXPECT_FALSE(window.scale.is_known);
	EXPECT_EQ(window.scale.shift, none);
	EXPECT_EQ(window.min, none);
	EXPECT_EQ(window.max, none);
	EXPECT_EQ(window.last, none);
	EXPECT_EQ(window.shrinks, none);
	EXPECT_EQ(window.full, none);
	EXPECT_EQ(c.of(reader).stall.zero_window_segments, 1u) << "zero is certain in any case";
}

TEST(Window, OneSynIsNotEnough)
{
	Connection c;
	c.syn(reader, 0, scale_7).ack(reader, 1, 1, 500);
	EXPECT_FALSE(c.of(reader).window.scale.is_known);
}

TEST(Window, ATruncatedSynLeavesItUnknown)
{
	Connection c;
	c.send(reader, {.flags = SYN, .seq = 0, .ack = 0, .options = scale_7, .cut = 2});
	c.syn_ack(writer, 0, 1, scale_7).ack(reader, 1, 1, 500);
	EXPECT_FALSE(c.of(reader).window.scale.is_known);
	EXPECT_FALSE(c.of(writer).window.scale.is_known);
}

TEST(Window, MinMaxAndLastLeaveOutResets)
{
	Connection c = scaled_connection();
	c.ack(reader, 1, 1, 300).ack(reader, 1, 1, 400).send(reader, {.flags = RST, .window = 0});
	const auto window = c.of(reader).window;
	EXPECT_THAT(window.min, Optional(300u << 7));
	EXPECT_THAT(window.max, Optional(500u << 7));
	EXPECT_THAT(window.last, Optional(400u << 7));
}

// ------------------------------------------------------------ shrinking, full

TEST(Window, ShrinksIfItsRightEdgeGoesBack)
{
	Connection c;
	c.syn(reader, 0).syn_ack(writer, 0, 1).ack(reader, 1, 1, 1000).data(writer, 1, 400);
	EXPECT_THAT(c.ack(reader, 1, 401, 600).of(reader).window.shrinks, Optional(0u)) << "the edge stays";
	EXPECT_THAT(c.ack(reader, 1, 401, 599).of(reader).window.shrinks, Optional(1u));
	EXPECT_THAT(c.ack(reader, 1, 411, 588).of(reader).window.shrinks, Optional(2u));
	EXPECT_THAT(c.ack(reader, 1, 401, 10).of(reader).window.shrinks, Optional(2u)) << "old";
}

TEST(Window, RoundingByTheScaleIsNotShrinking)
{
	Connection c = scaled_connection();
	c.data(writer, 1, 1000);
	EXPECT_THAT(c.ack(reader, 1, 101, 499).of(reader).window.shrinks, Optional(0u)) << "28 bytes of 128";
	EXPECT_THAT(c.ack(reader, 1, 201, 497).of(reader).window.shrinks, Optional(1u)) << "156";
}

TEST(Window, IsFullIfBytesInFlightReachIt)
{
	Connection c;
	c.syn(reader, 0).syn_ack(writer, 0, 1).ack(reader, 1, 1, 1000);
	EXPECT_THAT(c.data(writer, 1, 999).of(reader).window.full, Optional(0u));
	EXPECT_THAT(c.data(writer, 1000, 1).of(reader).window.full, Optional(1u));
	c.ack(reader, 1, 1001, 1000);
	EXPECT_THAT(c.data(writer, 1001, 1000).of(reader).window.full, Optional(2u));
	EXPECT_THAT(c.of(writer).window.full, Optional(0u)) << "it is the reader's window";
}

TEST(Window, IsFullInBytesAfterTheScale)
{
	Connection c = scaled_connection();
	EXPECT_THAT(c.data(writer, 1, 63'999).of(reader).window.full, Optional(0u));
	EXPECT_THAT(c.data(writer, 64'000, 1).of(reader).window.full, Optional(1u));
}

TEST(Window, FullNeedsBothDirections)
{
	Connection c;
	c.syn(reader, 0).ack(reader, 1, 1, 1000);
	EXPECT_EQ(c.of(reader).window.full, none);
	EXPECT_EQ(c.of(reader).stall.probes, none);
	EXPECT_EQ(c.of(reader).stall.probe_answers, none);
}

// ------------------------------------------------------------- other TCP counts

TEST(Tcp, BytesInFlightAreThoseNotAcknowledged)
{
	Connection c = open_connection();
	c.data(writer, 1, 300).data(writer, 301, 300).ack(reader, 1, 301, 1000).data(writer, 601, 100);
	EXPECT_THAT(c.of(writer).tcp.bytes_in_flight_max, Optional(600u));
	EXPECT_THAT(c.of(reader).tcp.bytes_in_flight_max, Optional(0u)) << "it sent none";
}

TEST(Tcp, AFinIsNotAByteInFlight)
{
	Connection c = open_connection();
	c.send(writer, {.flags = FIN | ACK, .payload = 300});
	EXPECT_THAT(c.of(writer).tcp.bytes_in_flight_max, Optional(300u));
	c.at(1s).send(writer, {.flags = FIN | ACK, .payload = 300});
	EXPECT_THAT(c.of(writer).tcp.bytes_in_flight_max, Optional(300u));
}

TEST(Tcp, BytesInFlightAreNotKnownFromOneSide)
{
	Connection c;
	c.data(writer, 1, 300).data(writer, 301, 300);
	EXPECT_EQ(c.of(writer).tcp.bytes_in_flight_max, none);
	EXPECT_EQ(c.of(writer).tcp.payload_bytes, 600u);
}

TEST(Tcp, ASequenceThatGoesBackIsARetransmission)
{
	Connection c = open_connection();
	c.data(writer, 1, 100).data(writer, 101, 100).at(1s);
	EXPECT_EQ(c.data(writer, 1, 100).of(writer).tcp.retransmitted_segments, 1u);
	EXPECT_EQ(c.data(writer, 101, 100).of(writer).tcp.retransmitted_segments, 2u);
	EXPECT_EQ(c.data(writer, 201, 100).of(writer).tcp.retransmitted_segments, 2u);
	EXPECT_EQ(c.ack(writer, 101, 1, 1000).of(writer).tcp.retransmitted_segments, 2u) << "an old acknowledgement";
	EXPECT_EQ(c.of(writer).tcp.payload_bytes, 500u) << "all that was sent";
	c.offloaded(2).data(writer, 101, 200);
	EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 4u);
}

TEST(Tcp, RepeatedFinAndSynAreRetransmissions)
{
	Connection c;
	c.syn(reader, 0).at(1s).syn(reader, 0).syn_ack(writer, 0, 1).ack(reader, 1, 1, 1000);
	c.send(reader, {.flags = FIN | ACK, .seq = 1}).at(2s).send(reader, {.flags = FIN | ACK, .seq = 1});
	EXPECT_EQ(c.of(reader).tcp.retransmitted_segments, 2u);
}

TEST(Tcp, SegmentsShortlyAfterWereOvertaken)
{
	Connection c = open_connection();
	c.data(writer, 101, 100).data(writer, 301, 100).at(2ms).data(writer, 201, 100);
	EXPECT_EQ(c.of(writer).tcp.out_of_order_segments, 1u);
	EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 0u);
	c.at(10ms).data(writer, 1, 100);
	EXPECT_EQ(c.of(writer).tcp.out_of_order_segments, 1u);
	EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 1u);
}

TEST(Tcp, ShortlyMeansARoundTripIfKnown)
{
	Connection c;
	c.syn(reader, 0).at(60ms).syn_ack(writer, 0, 1).at(100ms).ack(reader, 1, 1, 1000);
	c.data(writer, 101, 100).at(199ms).data(writer, 1, 50).at(200ms).data(writer, 1, 50);
	EXPECT_EQ(c.of(writer).tcp.out_of_order_segments, 1u);
	EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 1u);
}

TEST(Tcp, AfterTwoDuplicateAcknowledgementsItIsARetransmission)
{
	Connection c = open_connection();
	c.data(writer, 1, 100).data(writer, 101, 100).data(writer, 201, 100);
	c.ack(reader, 1, 1, 1000).ack(reader, 1, 1, 1000).data(writer, 1, 100);
	EXPECT_EQ(c.of(writer).tcp.retransmitted_segments, 1u);
}

TEST(Tcp, HandshakeRoundTripsBelongToTheAnsweringEndpoint)
{
	Connection c;
	c.at(1s).syn(reader, 100).at(1s + 30ms).syn_ack(writer, 500, 101).at(1s + 31ms).ack(reader, 101, 501, 1000);
	EXPECT_THAT(c.of(writer).tcp.handshake_rtt, Optional(nanoseconds(30ms)));
	EXPECT_THAT(c.of(reader).tcp.handshake_rtt, Optional(nanoseconds(1ms)));
}

TEST(Tcp, TheRoundTripOfARepetitionIsUnknown)
{
	Connection c;
	c.syn(reader, 100)
		.at(1s)
		.syn(reader, 100)
		.at(1s + 30ms)
		.syn_ack(writer, 500, 101)
		.at(1s + 31ms)
		.ack(reader, 101, 501, 1000);
	EXPECT_EQ(c.of(writer).tcp.handshake_rtt, none);
	EXPECT_THAT(c.of(reader).tcp.handshake_rtt, Optional(nanoseconds(1ms)));

	Connection again;
	again.syn(reader, 100)
		.at(30ms)
		.syn_ack(writer, 500, 101)
		.at(1s)
		.syn_ack(writer, 500, 101)
		.ack(reader, 101, 501, 1000);
	EXPECT_THAT(again.of(writer).tcp.handshake_rtt, Optional(nanoseconds(30ms)));
	EXPECT_EQ(again.of(reader).tcp.handshake_rtt, none);
}

TEST(Tcp, TheRoundTripOfAnUnseenSegmentIsUnknown)
{
	Connection late;
	late.syn_ack(writer, 500, 101).at(1ms).ack(reader, 101, 501, 1000);
	EXPECT_EQ(late.of(writer).tcp.handshake_rtt, none);
	EXPECT_THAT(late.of(reader).tcp.handshake_rtt, Optional(nanoseconds(1ms)));

	Connection other;
	other.syn(reader, 100).at(1ms).syn_ack(writer, 500, 999).at(2ms).ack(reader, 101, 7, 1000);
	EXPECT_EQ(other.of(writer).tcp.handshake_rtt, none) << "answers another";
	EXPECT_EQ(other.of(reader).tcp.handshake_rtt, none);
}

TEST(Tcp, AnotherConnectionInTheSameFlowStartsAgain)
{
	Connection c = scaled_connection();
	c.at(1s).ack(reader, 1, 1, 0).at(3s).syn(reader, 9'000'000).syn_ack(writer, 7, 9'000'001);
	EXPECT_THAT(c.of(reader).stall.last_ended, Optional(Eq("new_connection")));
	EXPECT_EQ(c.of(reader).stall.total, 2s);
	EXPECT_TRUE(c.of(reader).window.scale.is_known);
	EXPECT_EQ(c.of(reader).window.scale.shift, none);
	EXPECT_EQ(c.of(reader).tcp.retransmitted_segments, 0u);
}

// ------------------------------------------------------------------ continues

// The flow after that of c, which has ended.
tcpwin_flow successor(const tcpwin_flow &flow, nanoseconds after_expiry)
{
	tcpwin_flow next = flow;
	tcpwin_packet packet = {};
	const __u64 now = tcpwin_expires_at(&flow, &long_timeouts) + static_cast<__u64>(after_expiry.count());
	tcpwin_succeed_flow(&next, &long_timeouts, 2, 0, &packet, reader, now);
	return next;
}

TEST(Continues, NamesTheFlowThatExpiredLessThanTwoSecondsBefore)
{
	const tcpwin_flow flow = open_connection().flow;
	EXPECT_EQ(successor(flow, 0s).continues_back, 1u);
	EXPECT_EQ(successor(flow, 2s - 1ns).continues_back, 1u);
	EXPECT_EQ(successor(flow, 2s).continues_back, 0u);
	EXPECT_EQ(successor(flow, -1s).continues_back, 1u) << "ended before its expiry";
}

TEST(Continues, WaitsLongerForAProbe)
{
	const tcpwin_flow stalled = open_connection().ack(reader, 1, 1, 0).flow;
	EXPECT_EQ(successor(stalled, 130s - 1ns).continues_back, 1u);
	EXPECT_EQ(successor(stalled, 130s).continues_back, 0u);
	EXPECT_EQ(tcpwin_linger(&stalled, 0), 0u) << "unless there is no room";
}

TEST(Continues, KeepsWhatIsKnownAndCountsFromZero)
{
	Connection c = scaled_connection();
	c.data(writer, 1, 100).at(1s).ack(reader, 1, 101, 0).data(writer, 100, 0);
	c.flow = successor(c.flow, 1s);
	EXPECT_EQ(c.of(reader).stall.episodes, 0u);
	EXPECT_EQ(c.of(reader).stall.zero_window_segments, 0u);
	EXPECT_EQ(c.of(writer).tcp.payload_bytes, 0u);
	EXPECT_EQ(c.of(reader).window.last, none) << "nothing was sent in it";
	EXPECT_THAT(c.of(reader).window.scale.shift, Optional(7));

	c.at(60s).data(writer, 100, 0).at(61s).ack(reader, 1, 101, 0).at(63s).ack(reader, 1, 101, 5);
	EXPECT_THAT(c.of(reader).stall.probes, Optional(1u)) << "that the window is closed was known";
	EXPECT_THAT(c.of(reader).stall.probe_answers, Optional(1u));
	EXPECT_EQ(c.of(reader).stall.episodes, 1u);
	EXPECT_EQ(c.of(reader).stall.total, 2s) << "from the first zero window of this flow";
	EXPECT_THAT(c.of(reader).window.max, Optional(5u << 7));
}

TEST(Continues, ForgetsWhatWasKnownAfterThat)
{
	Connection c = scaled_connection();
	c.flow = successor(c.flow, 3s);
	EXPECT_FALSE(c.of(reader).window.scale.is_known);
}

// ---------------------------------------------------------------- switched off

TEST(Stall, SwitchedOffLeavesNothing)
{
	tcpwin_flow flow{};
	tcpwin_packet packet{};
	packet.tcp_flags = ACK;
	packet.segments = 1;
	tcpwin_begin_flow(&flow, 1, 0, &packet, 0, 0);
	tcpwin_count_packet(&flow, &long_timeouts, &packet, 0, 1, 0);
	tcpwin_record record{};
	record.flow = flow;
	EXPECT_EQ(tcpwin::make_analysis(record, 0, wall_offset), std::nullopt);
	EXPECT_EQ(flow.direction[0].packets, 1u);
}

// --------------------------------------------- the fast path equals the slow path

TEST(Stall, TheFastPathEqualsTheSlowPath)
{
	std::mt19937_64 random(20261124);
	const auto below = [&](std::uint64_t limit) { return random() % limit; };
	std::uint64_t taken = 0;
	for (int run = 0; run < 3000; run++) {
		tcpwin_flow fast{}, slow{};
		tcpwin_packet packet{}, last[2] = {};
		tcpwin_begin_flow(&fast, 1, 0, &packet, 0, 0);
		tcpwin_begin_flow(&slow, 1, 0, &packet, 0, 0);
		for (__u64 now = 1; now < 60; now++) {
			const __u32 from = below(2);
			if (now == 30)
				for (tcpwin_flow *flow : {&fast, &slow})
					tcpwin_carry_on(flow);
			packet.segments = 1;
			packet.tcp_flags = below(12) ? ACK : static_cast<__u8>(below(32));
			packet.window = below(8) ? static_cast<__u16>(1 + below(3)) : 0;
			packet.window_scale = static_cast<__u8>(below(3));
			packet.payload = static_cast<__u32>(below(3));
			packet.sequence = below(4) ? fast.progress[from].next :
						     fast.progress[from].next - 2 + static_cast<__u32>(below(5));
			packet.ack = fast.progress[!from].next - static_cast<__u32>(below(3));
			packet.id = static_cast<__u32>(now);
			if (!below(10)) // a duplicate, or nearly
				packet = below(2) ? last[from] : last[!from];
			last[from] = packet;
			taken += count_packet(fast, long_timeouts, packet, from, now * 100'000);
			tcpwin_count_packet_slow(&slow, &long_timeouts, &packet, from, now * 100'000, 1);
			ASSERT_EQ(std::memcmp(&fast, &slow, sizeof(fast)), 0) << "run " << run << " packet " << now;
		}
	}
	EXPECT_GT(taken, 10'000u);
}

} // namespace
