// SPDX-License-Identifier: Apache-2.0
// What holds a sender up (tcpwin/limits.h), by single packets. tests/net/test_limits.py compares with real sockets.
#include <tcpwin/flow.h>

#include <gtest/gtest.h>

namespace tcpwin {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr double unit_ms = 65.536e-3; // resolution of the figures
constexpr __u32 segment_bytes = 1000;

struct Milliseconds {
	double receiver, network, application;
};

// The sender is endpoint 0, whose sequence numbers begin at 1. Windows are not scaled.
class Transfer {
public:
	// round_trip_ms: between here and the sender.
	explicit Transfer(__u16 window, std::uint64_t round_trip_ms = 0)
	{
		config_.limited_alarm_ns = 500 * ms;
		config_.abort_count = 1000;
		tcpwin_packet syn = packet(TCPWIN_FLAG_SYN, 0, 0, 65535);
		tcpwin_begin_flow(&flow_, 1, 0, &syn, 0, now_);
		count(syn, 0);
		count(packet(TCPWIN_FLAG_SYN | TCPWIN_FLAG_ACK, 0, 1, window), 1);
		now_ += round_trip_ms * ms;
		count(packet(TCPWIN_FLAG_ACK, 1, 1, 65535), 0);
	}

	Transfer &wait(double milliseconds)
	{
		now_ += static_cast<std::uint64_t>(milliseconds * 1e6);
		return *this;
	}
	Transfer &send(int segments = 1)
	{
		for (int i = 0; i < segments; i++, sent_ += segment_bytes)
			count(packet(TCPWIN_FLAG_ACK, sent_, 1, 65535, segment_bytes), 0);
		return *this;
	}
	// As Linux does: empty, at the number before the next.
	Transfer &probe() { return count(packet(TCPWIN_FLAG_ACK, sent_ - 1, 1, 65535), 0); }
	// Acknowledges all but `outstanding` segments.
	Transfer &acknowledge(__u16 window, int outstanding = 0)
	{
		return count(packet(TCPWIN_FLAG_ACK, 1, sent_ - segment_bytes * outstanding, window), 1);
	}

	Milliseconds limits() const
	{
		const tcpwin_limits limits = tcpwin_limits_at(&flow_, 0, now_);
		return {limits.receiver * unit_ms, limits.network * unit_ms, limits.application * unit_ms};
	}
	int alarms() const { return alarms_; }

private:
	static tcpwin_packet packet(int flags, __u32 sequence, __u32 ack, __u16 window, __u32 payload = 0)
	{
		tcpwin_packet made{};
		tcpwin_start_packet(&made, 0);
		made.tcp_flags = static_cast<__u8>(flags);
		made.sequence = sequence;
		made.ack = ack;
		made.window = window;
		made.payload = payload;
		made.bytes = 40 + payload;
		made.window_scale = TCPWIN_NO_WINDOW_SCALE;
		return made;
	}

	// By the fast path where the engines take it.
	Transfer &count(const tcpwin_packet &packet, __u32 from)
	{
		if (tcpwin_is_quiet(&flow_, &config_, &packet, from, now_, 1))
			tcpwin_count_packet(&flow_, &config_, &packet, from, now_, 1);
		else
			tcpwin_count_packet_slow(&flow_, &config_, &packet, from, now_, 1);
		alarms_ += (flow_.direction[1].alarms >> 4 & TCPWIN_ALARM_LIMITED) != 0;
		flow_.direction[1].alarms &= TCPWIN_ALARM_ALL;
		return *this;
	}

	tcpwin_config config_ = TCPWIN_TUTORIAL_CONFIG;
	tcpwin_flow flow_{};
	std::uint64_t now_ = 1000 * ms;
	__u32 sent_ = 1;
	int alarms_ = 0;
};

void expect_limits(const Transfer &transfer, Milliseconds expected, double tolerance_ms = 4 * unit_ms)
{
	const Milliseconds limits = transfer.limits();
	EXPECT_NEAR(limits.receiver, expected.receiver, tolerance_ms);
	EXPECT_NEAR(limits.network, expected.network, tolerance_ms);
	EXPECT_NEAR(limits.application, expected.application, tolerance_ms);
}

TEST(Limits, ASenderThatUsesAnOpenedWindowAtOnceWasHeldUpByTheReceiver)
{
	Transfer transfer(2000);
	transfer.send(2).wait(100).acknowledge(2000).wait(1).send(2).wait(50).acknowledge(2000);
	expect_limits(transfer, {101, 50, 0});
	transfer.send();
	expect_limits(transfer, {151, 0, 0});
}

TEST(Limits, ASenderThatStaysSilentHadNothingToSend)
{
	Transfer transfer(2000);
	transfer.send(2).wait(100).acknowledge(2000).wait(40).send();
	expect_limits(transfer, {0, 100, 40});
}

TEST(Limits, TimeBetweenAcknowledgementAndNextDataIsTheApplications)
{
	Transfer transfer(60'000);
	transfer.send().wait(10).acknowledge(60'000).wait(200).send().wait(10).acknowledge(60'000).wait(500);
	expect_limits(transfer, {0, 20, 200});
}

TEST(Limits, AWindowWithRoomForASegmentIsNoLimit)
{
	Transfer transfer(5000);
	transfer.send(3).wait(100).acknowledge(5000);
	expect_limits(transfer, {0, 100, 0});
}

TEST(Limits, AWindowWithRoomForLessThanASegmentIsALimit)
{
	Transfer transfer(2900);
	transfer.send(2).wait(100).acknowledge(2900).send();
	expect_limits(transfer, {100, 0, 0});
}

TEST(Limits, AProbeShowsThatDataWaits)
{
	Transfer silent(2000), probing(2000);
	silent.send(2).wait(10).acknowledge(0).wait(1000);
	expect_limits(silent, {0, 10, 0});
	probing.send(2).wait(10).acknowledge(0).wait(200).probe().wait(400);
	expect_limits(probing, {610, 0, 0});
	probing.acknowledge(2000).wait(300).send();
	EXPECT_GE(probing.limits().receiver, 610);
}

TEST(Limits, AWindowThatClosesWithRoomLeftHoldsUpFromTheLastSegmentOn)
{
	Transfer silent(5000), probing(5000);
	silent.send().wait(10).acknowledge(0).wait(200);
	expect_limits(silent, {0, 10, 0});
	probing.send().wait(20).send().wait(10).acknowledge(0).wait(3000).probe().wait(400);
	expect_limits(probing, {3410, 20, 0});
}

// One round trip is 100 ms. Each acknowledgement leaves at once.
Transfer far_transfer(int segments_per_round_trip)
{
	Transfer transfer(10'000, 100);
	for (int i = 0; i < 20 * segments_per_round_trip; i++)
		transfer.send().acknowledge(10'000).wait(100.0 / segments_per_round_trip);
	return transfer;
}

TEST(Limits, FarFromTheSenderTheWindowIsThatOfARoundTripBefore)
{
	const Milliseconds whole = far_transfer(10).limits(), half = far_transfer(5).limits();
	EXPECT_NEAR(whole.receiver, 1900, 150);
	EXPECT_LE(whole.application, 1);
	EXPECT_EQ(half.receiver, 0);
	EXPECT_NEAR(half.network, 2000, 30);
}

TEST(Limits, AnAlarmIsRaisedOncePerRun)
{
	Transfer transfer(2000);
	for (int i = 0; i < 20; i++)
		transfer.send(2).wait(50).acknowledge(2000);
	EXPECT_EQ(transfer.alarms(), 1);
	transfer.wait(1000);
	for (int i = 0; i < 9; i++)
		transfer.send(2).wait(50).acknowledge(2000);
	EXPECT_EQ(transfer.alarms(), 1) << "another run, too short";
	for (int i = 0; i < 9; i++)
		transfer.send(2).wait(50).acknowledge(2000);
	EXPECT_EQ(transfer.alarms(), 2);
}

TEST(Limits, SumsDoNotOverflow)
{
	__u32 sum = ~0U - 5;
	tcpwin_add_time(&sum, 10);
	EXPECT_EQ(sum, ~0U);
	EXPECT_EQ(tcpwin_limits_since(1000, 999), 0U) << "the clock of another CPU";
	EXPECT_EQ(tcpwin_limits_since(~0U - 9, 90), 100U);
}

} // namespace
} // namespace tcpwin
