// SPDX-License-Identifier: Apache-2.0
#include <tcpwin/pressure.h>

#include <gtest/gtest.h>

namespace tcpwin {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint8_t syn = TCPWIN_FLAG_SYN, ack = TCPWIN_FLAG_ACK, rst = TCPWIN_FLAG_RST, psh = TCPWIN_FLAG_PSH;

// The flags that either side has sent; 0: nothing.
tcpwin_flow flow_of(std::uint8_t one, std::uint8_t other)
{
	tcpwin_flow flow{};
	flow.direction[0].tcp_flags = one;
	flow.direction[1].tcp_flags = other;
	for (tcpwin_direction &direction : flow.direction)
		direction.packets = direction.tcp_flags != 0;
	flow.recent = 100 * second;
	return flow;
}

bool is_unanswered(std::uint8_t one, std::uint8_t other)
{
	const tcpwin_flow flow = flow_of(one, other), reverse = flow_of(other, one);
	EXPECT_EQ(tcpwin_is_unanswered(&flow), tcpwin_is_unanswered(&reverse));
	return tcpwin_is_unanswered(&flow);
}

TEST(Pressure, AFlowIsAnsweredWhenBothHaveAcknowledged)
{
	EXPECT_TRUE(is_unanswered(syn, 0));
	EXPECT_TRUE(is_unanswered(syn | ack, 0));
	EXPECT_TRUE(is_unanswered(ack | psh, 0)) << "one direction only";
	EXPECT_TRUE(is_unanswered(syn, syn | ack)) << "half open";
	EXPECT_TRUE(is_unanswered(syn, rst | ack)) << "a closed port";
	EXPECT_TRUE(is_unanswered(syn | rst, syn | ack)) << "a scan, or the answer of a forged address";
	EXPECT_TRUE(is_unanswered(ack, rst));
	EXPECT_FALSE(is_unanswered(syn | ack, syn | ack));
	EXPECT_FALSE(is_unanswered(ack, ack | psh)) << "seen from the middle on";
}

bool ends_early(const tcpwin_flow &flow, std::uint64_t after_ns)
{
	return tcpwin_ends_early(&flow, second, flow.recent + after_ns);
}

TEST(Pressure, HalfOpenFlowsHaveTimeForAnotherSynAck)
{
	const tcpwin_flow alone = flow_of(syn, 0), half_open = flow_of(syn, syn | ack), answered = flow_of(ack, ack);
	EXPECT_FALSE(ends_early(alone, second - 1));
	EXPECT_TRUE(ends_early(alone, second));
	EXPECT_FALSE(ends_early(half_open, 8 * second - 1));
	EXPECT_TRUE(ends_early(half_open, 8 * second));
	EXPECT_FALSE(ends_early(answered, 1000 * second));
}

TEST(Pressure, TheMarkIsAShareOfTheTable)
{
	tcpwin_config config = TCPWIN_MONITOR_CONFIG;
	EXPECT_EQ(tcpwin_pressure_mark(&config, 262'144), 209'715U);
	EXPECT_EQ(tcpwin_pressure_mark(&config, 1), 1U) << "never 0: an empty table is not under pressure";
	config = TCPWIN_TUTORIAL_CONFIG;
	EXPECT_EQ(tcpwin_pressure_mark(&config, 262'144), 262'144U);
	EXPECT_EQ(tcpwin_pressure_mark(&config, 100'000'000), 100'000'000U);
}

class PressureTime : public testing::Test {
protected:
	bool update(std::uint64_t live, std::uint64_t at_s)
	{
		tcpwin_update_pressure(&pressure, &config, 1000, live, at_s * second);
		return pressure.since_ns != 0;
	}

	tcpwin_config config = TCPWIN_MONITOR_CONFIG; // 80 %; unanswered flows usually live for 60 s
	tcpwin_pressure pressure{};
};

TEST_F(PressureTime, BeginsAtTheMark)
{
	EXPECT_FALSE(update(799, 10));
	EXPECT_TRUE(update(800, 11));
	EXPECT_EQ(pressure.since_ns, 11 * second);
}

TEST_F(PressureTime, BeginsWhenAFlowWasEvicted)
{
	pressure.ended_early = 1;
	EXPECT_TRUE(update(100, 10)) << "the table was full between two examinations";
}

TEST_F(PressureTime, LastsUntilTheFlowsThatEndedEarlyWouldNotFillTheTable)
{
	EXPECT_TRUE(update(800, 10));
	pressure.ended_early = 750;
	EXPECT_TRUE(update(50, 69)) << "60 s have not passed";
	EXPECT_TRUE(update(50, 70)) << "750 and 50 would fill it";
	EXPECT_EQ(pressure.ended_early, 0U) << "the count begins again";
	pressure.ended_early = 749;
	EXPECT_TRUE(update(50, 129));
	EXPECT_FALSE(update(50, 130));
	EXPECT_FALSE(update(799, 131));
}

} // namespace
} // namespace tcpwin
