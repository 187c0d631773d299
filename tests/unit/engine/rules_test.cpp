// SPDX-License-Identifier: Apache-2.0
//
// Everything beyond the tutorial: the rules of the monitor profile, the values
// of --on-threshold, held stalls, alarms, and interim records.
#include <chrono>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tcpwin/flow.h>

#include "engine/portable.hpp"
#include "record/record.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr __u8 FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10;
constexpr std::uint64_t start = 1'000'000'000'000; // a whole second

tcpwin_address address(__u8 last)
{
	return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last}};
}

enum Who { reader, writer };

// One flow: the reader is 10.0.0.1:1000, endpoint 0, and the writer 10.0.0.2:2000.
struct Flow {
	explicit Flow(const tcpwin_config &with) : config(with) {}

	Flow &at(nanoseconds time)
	{
		now = start + static_cast<std::uint64_t>(time.count());
		return *this;
	}

	Flow &packet(Who who, __u8 flags, __u16 window = 1000)
	{
		const tcpwin_packet packet = make(who, flags, window);
		if (!flow.id)
			tcpwin_begin_flow(&flow, 1, 1, &packet, who, now);
		tcpwin_count_packet_slow(&flow, &config, &packet, who, now, 1);
		return *this;
	}

	// isn: how much higher its sequence number is than that of the other segments.
	bool is_cut_by(Who who, __u8 flags, std::uint32_t isn) const
	{
		tcpwin_packet packet = make(who, flags, 1000);
		packet.sequence += isn;
		return tcpwin_is_cut(&flow, &config, &packet, who, now);
	}

	tcpwin_packet make(Who who, __u8 flags, __u16 window) const
	{
		tcpwin_packet packet{};
		packet.source = address(who == reader ? 1 : 2);
		packet.destination = address(who == reader ? 2 : 1);
		packet.source_port = who == reader ? 1000 : 2000;
		packet.destination_port = who == reader ? 2000 : 1000;
		packet.sequence = who == reader ? 100 : 200;
		packet.ack = who == reader ? 200 : 100;
		packet.segments = 1;
		packet.bytes = 40;
		packet.tcp_flags = flags;
		packet.window = window;
		packet.window_scale = TCPWIN_NO_WINDOW_SCALE;
		return packet;
	}

	nanoseconds expires() const { return nanoseconds(tcpwin_expires_at(&flow, &config) - start); }
	tcpwin_end_reason reason() const { return tcpwin_expiry_reason(&flow, &config); }
	const tcpwin_direction &of(Who who) const { return flow.direction[who]; }

	tcpwin_config config;
	tcpwin_flow flow{};
	std::uint64_t now = start;
};

constexpr tcpwin_config tutorial = TCPWIN_TUTORIAL_CONFIG, monitor = TCPWIN_MONITOR_CONFIG;

tcpwin_config with_rule(tcpwin_rule rule)
{
	tcpwin_config config = tutorial;
	config.rules = rule;
	return config;
}

// ------------------------------------------------------------------ rules

TEST(Rules, TheTutorialHasNone)
{
	EXPECT_EQ(tutorial.rules, 0);
	EXPECT_EQ(tutorial.on_threshold, TCPWIN_ON_THRESHOLD_ABORT);
	EXPECT_EQ(tutorial.stalled_ns + tutorial.stall_alarm_ns + tutorial.limited_alarm_ns + tutorial.source_alarm +
			  tutorial.active_s,
		  0u);
}

TEST(Rules, AnEstablishedConnectionIsPromoted)
{
	Flow kept(tutorial), promoted(with_rule(TCPWIN_RULE_PROMOTE_ESTABLISHED));
	for (Flow *flow : {&kept, &promoted}) {
		flow->packet(reader, SYN);
		EXPECT_EQ(flow->of(reader).state, TCPWIN_STATE_BGN);
		flow->packet(writer, SYN | ACK).packet(reader, ACK);
	}
	EXPECT_EQ(kept.of(reader).state, TCPWIN_STATE_BGN);
	EXPECT_EQ(promoted.of(reader).state, TCPWIN_STATE_EST);
	EXPECT_EQ(promoted.of(writer).state, TCPWIN_STATE_BGN) << "it has sent its SYN only";
	EXPECT_EQ(promoted.of(reader).timeout, TCPWIN_TIMEOUT_EST);
}

TEST(Rules, WindowsOfSynAndRstNeedNotCount)
{
	Flow flow(with_rule(TCPWIN_RULE_SKIP_SYN_RST_WINDOWS));
	flow.packet(reader, SYN, 0).packet(writer, RST | ACK, 0);
	EXPECT_EQ(flow.of(reader).zero_window_count, 0u);
	EXPECT_EQ(flow.of(writer).zero_window_count, 0u);
	EXPECT_EQ(flow.of(writer).stat & TCPWIN_STAT_BELOW_THRESHOLD, 0);
	flow.packet(reader, ACK, 0);
	EXPECT_EQ(flow.of(reader).zero_window_count, 1u);
}

TEST(Rules, FinHasItsOwnTimeoutPermanently)
{
	Flow flow(with_rule(TCPWIN_RULE_FIN_TIMEOUT));
	flow.packet(reader, ACK).packet(writer, ACK).packet(reader, FIN | ACK);
	EXPECT_EQ(flow.of(reader).timeout, TCPWIN_TIMEOUT_FIN);
	EXPECT_EQ(flow.of(writer).timeout, TCPWIN_TIMEOUT_EST) << "it may continue to send";
	flow.packet(reader, ACK);
	EXPECT_EQ(flow.of(reader).timeout, TCPWIN_TIMEOUT_FIN);
	EXPECT_EQ(flow.of(reader).state, TCPWIN_STATE_ABRT);
	EXPECT_EQ(flow.expires(), 5s);
	EXPECT_EQ(flow.reason(), TCPWIN_END_FIN_TIMEOUT);
}

TEST(Rules, ResetEndsBothDirections)
{
	Flow flow(monitor);
	flow.packet(reader, ACK).packet(writer, ACK).at(1s).packet(writer, RST);
	EXPECT_EQ(flow.of(reader).timeout, TCPWIN_TIMEOUT_FIN);
	EXPECT_EQ(flow.of(reader).state, TCPWIN_STATE_ABRT);
	EXPECT_EQ(flow.expires(), 6s);
	flow.at(2s).packet(reader, ACK);
	EXPECT_EQ(flow.expires(), 7s);
}

TEST(Rules, ResetAfterFinEndsBothDirections)
{
	Flow flow(monitor);
	flow.packet(reader, ACK).packet(writer, ACK).at(1s).packet(reader, FIN | ACK).at(2s).packet(reader, RST);
	EXPECT_EQ(flow.of(writer).timeout, TCPWIN_TIMEOUT_FIN);
	EXPECT_EQ(flow.expires(), 7s);
	EXPECT_EQ(flow.reason(), TCPWIN_END_FIN_TIMEOUT);
}

TEST(Rules, ASynAfterTheEndOfAConnectionCutsTheFlow)
{
	const auto ended_by = [](__u8 flags, const tcpwin_config &config = monitor) {
		Flow flow(config);
		flow.packet(reader, ACK).packet(writer, ACK).packet(reader, flags);
		return flow;
	};
	EXPECT_TRUE(ended_by(RST).is_cut_by(reader, SYN, 9000));
	EXPECT_TRUE(ended_by(RST).is_cut_by(writer, SYN, 9000)) << "of either endpoint";
	EXPECT_TRUE(ended_by(RST).is_cut_by(writer, SYN | ACK, 9000)) << "the SYN was not captured";
	EXPECT_TRUE(ended_by(FIN | ACK).packet(writer, FIN | ACK).is_cut_by(reader, SYN, 9000));

	EXPECT_FALSE(ended_by(FIN | ACK).is_cut_by(reader, SYN, 9000)) << "the writer may still send";
	EXPECT_FALSE(ended_by(ACK).is_cut_by(reader, SYN, 9000)) << "not ended";
	EXPECT_FALSE(ended_by(RST).is_cut_by(reader, ACK, 9000)) << "no SYN";
	EXPECT_FALSE(ended_by(RST).is_cut_by(reader, SYN | RST, 9000));
	EXPECT_FALSE(ended_by(RST).is_cut_by(reader, SYN, -1U)) << "the old SYN again";
	EXPECT_FALSE(ended_by(RST, tutorial).is_cut_by(reader, SYN, 9000)) << "as the origin";
	Flow not_analyzed = ended_by(RST);
	not_analyzed.flow.analyzed = 0;
	EXPECT_FALSE(not_analyzed.is_cut_by(reader, SYN, 9000));

	const Flow flow = ended_by(RST);
	EXPECT_EQ(tcpwin_cut_reason(&flow.flow, &flow.config, flow.now), TCPWIN_END_NEW_CONNECTION);
	EXPECT_EQ(tcpwin_cut_reason(&flow.flow, &flow.config, flow.now + 10'000'000'000), TCPWIN_END_FIN_TIMEOUT);
}

TEST(Rules, TheFlowOfAnotherConnectionContinuesNone)
{
	Flow flow(monitor);
	flow.packet(reader, ACK).packet(writer, ACK).packet(reader, RST);
	tcpwin_packet syn = flow.make(reader, SYN, 1000);
	syn.sequence += 9000;
	tcpwin_flow next = flow.flow;
	tcpwin_succeed_flow(&next, &flow.config, 2, 1, &syn, reader, flow.now);
	EXPECT_EQ(next.continues_back, 0u);
	const tcpwin_packet late = flow.make(writer, ACK, 1000);
	next = flow.flow;
	tcpwin_succeed_flow(&next, &flow.config, 2, 1, &late, writer, flow.now);
	EXPECT_EQ(next.continues_back, 1u);
}

TEST(Rules, TheMonitorProfileNeverAborts)
{
	Flow flow(monitor);
	flow.packet(writer, ACK);
	for (int i = 0; i < 20; i++)
		flow.packet(reader, ACK, 0).packet(reader, ACK, 1000);
	EXPECT_EQ(flow.of(reader).state, TCPWIN_STATE_EST);
	EXPECT_EQ(flow.of(reader).stat, 0x90);
	EXPECT_EQ(flow.of(reader).zero_window_count, 20u);
	EXPECT_EQ(flow.expires(), 300s);
}

TEST(Rules, TerminateEndsTheFlowAtThatPacket)
{
	tcpwin_config config = tutorial;
	config.on_threshold = TCPWIN_ON_THRESHOLD_TERMINATE;
	config.stalled_ns = 300'000'000'000; // does not hold a terminated flow
	Flow flow(config);
	flow.packet(writer, ACK).at(10ms).packet(reader, ACK, 0).at(20ms).packet(reader, ACK, 0);
	EXPECT_EQ(flow.expires(), 20ms);
	EXPECT_TRUE(tcpwin_is_expired(&flow.flow, &flow.config, flow.now));
	EXPECT_EQ(flow.reason(), TCPWIN_END_TERMINATED);
	for (Who who : {reader, writer})
		EXPECT_EQ(flow.of(who).state, TCPWIN_STATE_ABRT);
	EXPECT_EQ(flow.of(reader).stat & TCPWIN_STAT_ABORTED, TCPWIN_STAT_ABORTED);
	EXPECT_EQ(flow.of(writer).stat & TCPWIN_STAT_ABORTED, 0);
}

TEST(Rules, AnOpenStallHoldsTheFlow)
{
	tcpwin_config config = tutorial;
	config.stalled_ns = 60'000'000'000;
	Flow flow(config);
	flow.packet(writer, ACK).packet(reader, ACK, 0);
	EXPECT_EQ(flow.expires(), 60s);
	EXPECT_EQ(flow.reason(), TCPWIN_END_IDLE_TIMEOUT);
	flow.at(30s).packet(reader, ACK, 0);
	EXPECT_EQ(flow.of(reader).timeout, TCPWIN_TIMEOUT_ABRT);
	EXPECT_EQ(flow.expires(), 90s) << "aborted, but held";
	flow.at(31s).packet(reader, ACK, 1000);
	EXPECT_EQ(flow.expires(), 31s + 1ms);
	EXPECT_EQ(flow.reason(), TCPWIN_END_ABORT_TIMEOUT);
}

// ------------------------------------------------------------------ alarms

std::vector<int> pending(const Flow &flow)
{
	return {TCPWIN_ALARM_PENDING(flow.of(reader).alarms), TCPWIN_ALARM_PENDING(flow.of(writer).alarms)};
}

TEST(Alarms, TheAbortCountRaisesOnePerFlow)
{
	Flow flow(monitor);
	flow.packet(writer, ACK);
	for (int i = 1; i < 10; i++)
		flow.packet(reader, ACK, 0).packet(reader, ACK, 1000);
	EXPECT_THAT(pending(flow), ElementsAre(0, 0));
	flow.packet(reader, ACK, 0);
	EXPECT_THAT(pending(flow), ElementsAre(TCPWIN_ALARM_ABORT_COUNT, 0));
	tcpwin_key key{};
	tcpwin_alarm alarm;
	tcpwin_take_alarms(&alarm, &key, &flow.flow, 0, flow.now);
	EXPECT_EQ(alarm.raised[reader], TCPWIN_ALARM_ABORT_COUNT);
	EXPECT_EQ(alarm.zero_window_count[reader], 10u);
	EXPECT_FALSE(tcpwin_has_alarms(&flow.flow));
	flow.packet(reader, ACK, 0);
	EXPECT_FALSE(tcpwin_has_alarms(&flow.flow));
	EXPECT_EQ(flow.of(reader).alarms, TCPWIN_ALARM_ABORT_COUNT);
}

TEST(Alarms, WithoutItsRuleAnAbortIsMarkedOnly)
{
	Flow flow(tutorial);
	flow.packet(reader, ACK, 0).packet(reader, ACK, 0);
	EXPECT_EQ(flow.of(reader).alarms, TCPWIN_ALARM_ABORT_COUNT);
}

TEST(Alarms, AStallRaisesOneAtThePacketThatFindsItTooLong)
{
	Flow flow(monitor);
	flow.packet(writer, ACK).packet(reader, ACK, 0).at(5s - 1ns).packet(writer, ACK);
	EXPECT_THAT(pending(flow), ElementsAre(0, 0));
	flow.at(5s).packet(writer, ACK); // from either side
	EXPECT_THAT(pending(flow), ElementsAre(TCPWIN_ALARM_STALL, 0));
	flow.flow.direction[reader].alarms &= TCPWIN_ALARM_ALL;
	flow.at(20s).packet(writer, ACK);
	EXPECT_THAT(pending(flow), ElementsAre(TCPWIN_ALARM_LIMITED, 0)) << "the other once per episode";
	flow.flow.direction[reader].alarms &= TCPWIN_ALARM_ALL;
	flow.packet(reader, ACK, 1000).packet(reader, ACK, 0).at(25s).packet(reader, ACK, 1000);
	EXPECT_THAT(pending(flow), ElementsAre(TCPWIN_ALARM_STALL, 0)) << "by the packet that ends it, too";
}

struct Collector final : FlowObserver {
	std::vector<tcpwin_record> flows;
	std::vector<tcpwin_alarm> alarms;
	void on_flow(const tcpwin_record &record) override { flows.push_back(record); }
	void on_alarm(const tcpwin_alarm &alarm) override { alarms.push_back(alarm); }
	void on_packet(const tcpwin_packet_event &, std::uint64_t) override {}
};

// Frames of 10.0.0.1 to 10.0.0.2:80 and back, through the portable engine.
class Engine {
public:
	explicit Engine(const tcpwin_config &config) : engine_(make_portable_engine({.config = config}, seen)) {}

	void packet(nanoseconds at, std::uint16_t port, std::uint16_t window, __u8 flags = ACK)
	{
		std::vector<std::uint8_t> frame(54);
		frame[12] = 0x08;
		frame[14] = 0x45;
		frame[17] = 40;
		frame[23] = 6;
		frame[26] = frame[30] = 10;
		frame[29] = 1;
		frame[33] = 2;
		frame[34] = static_cast<std::uint8_t>(port >> 8);
		frame[35] = static_cast<std::uint8_t>(port & 0xff);
		frame[37] = 80;
		frame[46] = 0x50;
		frame[47] = flags;
		frame[48] = static_cast<std::uint8_t>(window >> 8);
		frame[49] = static_cast<std::uint8_t>(window & 0xff);
		ASSERT_TRUE(engine_->packet({frame.data(), 54, 54, LinkType::ethernet,
					     start + static_cast<std::uint64_t>(at.count()), ++number_}));
	}
	void finish() { ASSERT_TRUE(engine_->finish()); }

	Collector seen;

private:
	std::unique_ptr<tcpwin::Engine> engine_;
	std::uint64_t number_ = 0;
};

TEST(Alarms, AHostRaisesOneWhenItStallsMoreFlowsThanAllowed)
{
	tcpwin_config config = monitor;
	config.source_alarm = 3;
	Engine engine(config);
	for (std::uint16_t port = 1001; port <= 1010; port++)
		engine.packet(1ms * port, port, 0);
	ASSERT_EQ(engine.seen.alarms.size(), 1u);
	EXPECT_EQ(engine.seen.alarms[0].raised[0], TCPWIN_ALARM_STALLED_FLOWS);
	EXPECT_EQ(engine.seen.alarms[0].stalled_flows, 4u);
	EXPECT_EQ(engine.seen.alarms[0].flow_id, 4u);
	for (std::uint16_t port = 1001; port <= 1008; port++) // two remain
		engine.packet(2s, port, 1000);
	engine.packet(3s, 2001, 0);
	EXPECT_EQ(engine.seen.alarms.size(), 1u);
	engine.packet(3s, 2002, 0);
	EXPECT_EQ(engine.seen.alarms.size(), 2u);
	engine.finish();
	std::vector<std::uint64_t> marked;
	for (const tcpwin_record &record : engine.seen.flows)
		if (record.flow.direction[0].alarms & TCPWIN_ALARM_STALLED_FLOWS)
			marked.push_back(record.flow.id);
	EXPECT_THAT(marked, testing::UnorderedElementsAre(4, 5, 6, 7, 8, 9, 10, 12));
}

TEST(Alarms, EndedFlowsAreNotStalled)
{
	tcpwin_config config = tutorial;
	config.source_alarm = 1;
	Engine engine(config);
	for (std::uint16_t port = 1001; port <= 1010; port++)
		engine.packet(std::chrono::seconds(2 * (port - 1000)), port, 0);
	EXPECT_THAT(engine.seen.alarms, IsEmpty());
}

TEST(Alarms, EachIsASeparateRecord)
{
	tcpwin_alarm alarm{};
	alarm.key = {{address(1), address(2)}, {1000, 2000}, 0, 0};
	alarm.flow_id = 7;
	alarm.now_ns = 9'000'000'000;
	alarm.stalled_since_ns[1] = 2'500'000'000;
	alarm.zero_window_count[1] = 11;
	alarm.stalled_flows = 21;
	alarm.raised[1] = TCPWIN_ALARM_STALL | TCPWIN_ALARM_STALLED_FLOWS;
	const std::vector<AlarmRecord> records = make_alarm_records(alarm, monitor, 1s, "eth0");
	ASSERT_EQ(records.size(), 2u);
	EXPECT_EQ(records[0].kind, TCPWIN_ALARM_STALL);
	EXPECT_EQ(records[0].receiver_ip, "10.0.0.2");
	EXPECT_EQ(records[0].blocked_port, 1000);
	EXPECT_EQ(records[0].stalled, 6500ms);
	EXPECT_EQ(records[0].time.time_since_epoch(), 10s);
	EXPECT_EQ(records[1].kind, TCPWIN_ALARM_STALLED_FLOWS);
	EXPECT_EQ(records[1].stalled_flows, 21u);
}

// ------------------------------------------------------------------ interim records

TEST(ActiveTimeout, RecordsAContinuingFlowCompletely)
{
	tcpwin_config config = monitor;
	config.active_s = 10;
	Engine engine(config);
	for (int i = 0; i <= 25; i++)
		engine.packet(std::chrono::seconds(i) + 500ms, 1000, 1000);
	ASSERT_EQ(engine.seen.flows.size(), 2u);
	engine.finish();
	std::vector<std::uint64_t> packets, reasons;
	for (const tcpwin_record &record : engine.seen.flows) {
		EXPECT_EQ(record.flow.id, 1u);
		packets.push_back(record.flow.direction[0].packets);
		reasons.push_back(record.reason);
	}
	EXPECT_THAT(packets, ElementsAre(10, 20, 26));
	EXPECT_THAT(reasons, ElementsAre(TCPWIN_END_ACTIVE_TIMEOUT, TCPWIN_END_ACTIVE_TIMEOUT, TCPWIN_END_SHUTDOWN));
}

TEST(ActiveTimeout, RecordsNoSilentFlow)
{
	tcpwin_config config = monitor;
	config.active_s = 10;
	Engine engine(config);
	engine.packet(0s, 1000, 1000);
	for (int i = 1; i < 290; i++)
		engine.packet(std::chrono::seconds(i), static_cast<std::uint16_t>(2000 + i), 1000, RST);
	int interim = 0;
	for (const tcpwin_record &record : engine.seen.flows)
		interim += record.flow.id == 1 && record.reason == TCPWIN_END_ACTIVE_TIMEOUT;
	EXPECT_EQ(interim, 1);
}

} // namespace
} // namespace tcpwin
