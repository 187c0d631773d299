// SPDX-License-Identifier: Apache-2.0
#include "record/unanswered.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwin {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t second = 1'000'000'000, start = 1000 * second;

class Unanswered : public testing::Test, public UnansweredFlows::Observer {
protected:
	Unanswered() : flows(*this)
	{
		config.syn_flood_alarm = 100;
		flows.pass_to(start, config, {});
	}

	void on_unanswered(const UnansweredRecord &record) override { records.push_back(record); }
	void on_syn_flood(const SynFloodAlarm &alarm) override { alarms.push_back(alarm); }

	// Of a flow of one SYN to 10.0.x.x, where x.x is receiver.
	static tcpwin_record syn(std::uint16_t receiver, tcpwin_end_reason reason = TCPWIN_END_EVICTED)
	{
		tcpwin_record record{};
		record.reason = static_cast<std::uint8_t>(reason);
		for (tcpwin_address &address : record.key.address)
			address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0}};
		record.key.address[0].byte[14] = static_cast<std::uint8_t>(receiver >> 8);
		record.key.address[0].byte[15] = static_cast<std::uint8_t>(receiver);
		record.key.address[1].byte[13] = 9;
		record.key.port[0] = 80;
		record.flow.a_side = 1;
		record.flow.direction[1].packets = 1;
		record.flow.direction[1].bytes = 40;
		record.flow.direction[1].tcp_flags = TCPWIN_FLAG_SYN;
		return record;
	}

	unsigned add(const tcpwin_record &record, unsigned times = 1)
	{
		unsigned summarized = 0;
		for (unsigned i = 0; i < times; i++)
			summarized += flows.add(record, config);
		return summarized;
	}

	void next_second() { flows.pass_to(now += second, config, {}); }

	tcpwin_config config = TCPWIN_MONITOR_CONFIG;
	UnansweredFlows flows;
	std::uint64_t now = start;
	std::vector<UnansweredRecord> records;
	std::vector<SynFloodAlarm> alarms;
};

TEST_F(Unanswered, OneRecordPerSecondCountsTheFlows)
{
	EXPECT_EQ(add(syn(1), 3), 3U);
	EXPECT_EQ(add(syn(2, TCPWIN_END_UNANSWERED_TIMEOUT), 5), 5U);
	EXPECT_THAT(records, IsEmpty());
	next_second();
	ASSERT_THAT(records, SizeIs(1));
	const UnansweredRecord &record = records[0];
	EXPECT_EQ(record.time.time_since_epoch(), std::chrono::nanoseconds(start + second));
	EXPECT_EQ(record.totals.flows, 8U);
	EXPECT_EQ(record.totals.summarized, 8U);
	EXPECT_EQ(record.totals.unanswered_timeouts, 5U);
	EXPECT_EQ(record.totals.packets, 8U);
	EXPECT_EQ(record.bytes, 320U);
	EXPECT_EQ(record.evicted, 3U);
	EXPECT_EQ(record.timed_out, 5U);
	ASSERT_THAT(record.receivers, SizeIs(2));
	EXPECT_EQ(record.receivers[0].ip, "10.0.0.2");
	EXPECT_EQ(record.receivers[0].port, 80);
	EXPECT_EQ(record.receivers[0].flows, 5U);
	EXPECT_EQ(record.other_flows, 0U);
	next_second();
	EXPECT_THAT(records, SizeIs(1)) << "nothing more has ended";
}

TEST_F(Unanswered, FlowsThatSayMoreKeepTheirRecords)
{
	tcpwin_record alarmed = syn(1), long_one = syn(1), answered = syn(1);
	alarmed.flow.direction[1].alarms = TCPWIN_ALARM_STALL;
	long_one.flow.direction[1].packets = 5;
	answered.flow.direction[0].packets = 1;
	answered.flow.direction[0].tcp_flags = answered.flow.direction[1].tcp_flags = TCPWIN_FLAG_ACK;
	EXPECT_EQ(add(alarmed) + add(long_one) + add(answered) + add(syn(1, TCPWIN_END_IDLE_TIMEOUT)), 0U);
	config.rules &= ~TCPWIN_RULE_SUMMARIZE_UNANSWERED;
	EXPECT_EQ(add(syn(1)), 0U);
	next_second();
	EXPECT_THAT(records, IsEmpty());
}

TEST_F(Unanswered, TenReceiversAreNamedAndTheOthersCounted)
{
	for (std::uint16_t receiver = 1; receiver <= 15; receiver++)
		add(syn(receiver), receiver);
	next_second();
	ASSERT_THAT(records, SizeIs(1));
	ASSERT_THAT(records[0].receivers, SizeIs(10));
	EXPECT_EQ(records[0].receivers[0].ip, "10.0.0.15");
	EXPECT_EQ(records[0].receivers[9].ip, "10.0.0.6");
	EXPECT_EQ(records[0].totals.flows, 120U);
	EXPECT_EQ(records[0].other_flows, 15U);
}

TEST_F(Unanswered, ReceiversBeyondTheLimitAreCountedTogether)
{
	for (unsigned port = 80; port < 82; port++)
		for (unsigned receiver = 0; receiver < 65'536; receiver++) {
			tcpwin_record record = syn(static_cast<std::uint16_t>(receiver));
			record.key.port[0] = static_cast<std::uint16_t>(port);
			add(record, port == 81 ? 2 : 1);
		}
	next_second();
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].totals.flows, 3 * 65'536U);
	EXPECT_EQ(records[0].receivers[0].flows, 1U) << "port 81 came when the limit was reached";
	EXPECT_EQ(records[0].other_flows, 3 * 65'536U - 10);
}

TEST_F(Unanswered, AFloodRaisesOneAlarmUntilAMinuteHasPassedWithout)
{
	const auto flood = [&] {
		add(syn(1), 60);
		add(syn(1, TCPWIN_END_IDLE_TIMEOUT), 41);
		next_second();
	};
	add(syn(1), 100);
	next_second();
	EXPECT_THAT(alarms, IsEmpty()) << "the limit is not exceeded";
	flood();
	ASSERT_THAT(alarms, SizeIs(1));
	EXPECT_EQ(alarms[0].receiver_ip, "10.0.0.1");
	EXPECT_EQ(alarms[0].receiver_port, 80);
	EXPECT_EQ(alarms[0].rate, 101U);
	EXPECT_EQ(alarms[0].syn_flood_alarm, 100U);
	now += 58 * second;
	next_second();
	flood();
	EXPECT_THAT(alarms, SizeIs(1));
	now += 61 * second;
	next_second();
	flood();
	EXPECT_THAT(alarms, SizeIs(2));
}

TEST_F(Unanswered, OnlySynsThatEndByThemselvesAreAFlood)
{
	tcpwin_record answer = syn(1);
	answer.flow.direction[1].tcp_flags |= TCPWIN_FLAG_ACK; // to a forged address: backscatter
	add(answer, 200);
	add(syn(2, TCPWIN_END_SHUTDOWN), 200); // all at once, whenever they began
	next_second();
	EXPECT_THAT(alarms, IsEmpty());
	config.syn_flood_alarm = 0;
	add(syn(1), 200);
	next_second();
	EXPECT_THAT(alarms, IsEmpty());
}

TEST_F(Unanswered, RecordsOfOtherCpusMayBeLate)
{
	next_second();
	add(syn(1));
	flows.pass_to(now - 1, config, {});
	add(syn(1));
	EXPECT_THAT(records, IsEmpty());
	flows.finish(config, {});
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].totals.flows, 2U);
}

TEST_F(Unanswered, FlowsWithoutAnyRecordAreToldOnce)
{
	tcpwin_counters counters{};
	counters.value[TCPWIN_COUNTER_UNRECORDED_FLOWS] = 7;
	counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS] = 9;
	flows.begin(counters); // of an earlier agent
	counters.value[TCPWIN_COUNTER_UNRECORDED_FLOWS] += 2;
	counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS] += 3;
	flows.set_unrecorded(counters);
	flows.set_unrecorded(counters);
	next_second();
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].totals.flows, 0U);
	EXPECT_EQ(records[0].unrecorded_flows, 2U);
	EXPECT_EQ(records[0].unrecorded_packets, 3U);
}

} // namespace
} // namespace tcpwin
