// SPDX-License-Identifier: Apache-2.0
// When and in which order the portable engine ends flows, and how much memory it uses.
#include <chrono>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <malloc.h>

#include "record/names.hpp"
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr nanoseconds start = 1'000'000'000s;

constexpr std::uint8_t syn = TCPWIN_FLAG_SYN, ack = TCPWIN_FLAG_ACK, rst = TCPWIN_FLAG_RST;

enum class From { client, server };

// Connections from one client to one server, identified by the client's port.
class Timeline {
public:
	explicit Timeline(const tcpwin_config &config = TCPWIN_DEFAULT_CONFIG)
		: engine_(make_portable_engine({.config = config, .report_packets = true}, collector_))
	{
	}

	void packet(nanoseconds time, std::uint16_t port, std::uint8_t flags = ack, std::uint16_t window = 1000,
		    From from = From::client)
	{
		const Frame client =
			Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(port, 5000, flags, {.window = window});
		const Frame server =
			Frame().ethernet().ipv4("10.0.0.2", "10.0.0.1").tcp(5000, port, flags, {.window = window});
		frame(time, (from == From::client ? client : server).bytes());
	}
	void reply(nanoseconds time, std::uint16_t port) { packet(time, port, ack, 1000, From::server); }
	void abort(nanoseconds time, std::uint16_t port)
	{
		packet(time, port, ack, 0);
		packet(time, port, ack, 0);
	}
	void arp(nanoseconds time) { frame(time, Frame().ethernet({.type = 0x0806}).payload(28).bytes()); }

	void frame(nanoseconds time, const Bytes &bytes)
	{
		feed(*engine_, {bytes, static_cast<std::uint64_t>((start + time).count())}, ++frames_);
	}
	void finish() { EXPECT_TRUE(engine_->finish()); }

	// "ID reason" of the flows that ended since the last call.
	std::vector<std::string> ended()
	{
		std::vector<std::string> texts;
		for (; reported_ < collector_.flows.size(); reported_++) {
			const tcpwin_record &record = collector_.flows[reported_];
			texts.push_back(fmt::format("{} {}", record.flow.id,
						    name_of(static_cast<tcpwin_end_reason>(record.reason))));
		}
		return texts;
	}
	std::uint64_t flow_of_last_packet() const
	{
		return collector_.packets.at(collector_.packets.size() - 1).event.flow_id;
	}
	const Collector &collector() const { return collector_; }
	tcpwin_counters counters() const { return *engine_->counters(); }

private:
	Collector collector_;
	std::unique_ptr<Engine> engine_;
	std::uint64_t frames_ = 0;
	std::size_t reported_ = 0;
};

struct Edge {
	std::string name;
	nanoseconds timeout;
	std::function<void(Timeline &)> begin; // a flow with a last packet at 0
	std::string ends;
};

class Timeouts : public ::testing::TestWithParam<Edge> {};
INSTANTIATE_TEST_SUITE_P(
	Expiry, Timeouts,
	::testing::Values(Edge{"NEW", 10s, [](Timeline &t) { t.packet(0s, 1, rst); }, "1 idle_timeout"},
			  Edge{"BGN", 2200ms, [](Timeline &t) { t.packet(0s, 1, syn); }, "1 idle_timeout"},
			  Edge{"EST", 1s, [](Timeline &t) { t.packet(0s, 1, ack); }, "1 idle_timeout"},
			  Edge{"ABRT", 1ms, [](Timeline &t) { t.abort(0s, 1); }, "1 abort_timeout"}),
	[](const ::testing::TestParamInfo<Edge> &info) { return info.param.name; });

TEST_P(Timeouts, OneNanosecondBeforeTheTimeoutIsStillTheSameFlow)
{
	Timeline timeline;
	GetParam().begin(timeline);
	timeline.packet(GetParam().timeout - 1ns, 1);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	EXPECT_EQ(timeline.flow_of_last_packet(), 1U);
}

TEST_P(Timeouts, APacketExactlyAtTheTimeoutStartsANewFlow)
{
	Timeline timeline;
	GetParam().begin(timeline);
	timeline.packet(GetParam().timeout, 1);
	EXPECT_THAT(timeline.ended(), ElementsAre(GetParam().ends));
	EXPECT_EQ(timeline.flow_of_last_packet(), 2U);
}

TEST_P(Timeouts, APacketOfAnotherFlowEndsAnExpiredFlow)
{
	Timeline timeline;
	GetParam().begin(timeline);
	timeline.packet(GetParam().timeout - 1ns, 2);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.packet(GetParam().timeout, 3);
	EXPECT_THAT(timeline.ended(), ElementsAre(GetParam().ends));
}

TEST_P(Timeouts, ANonIpFrameEndsAnExpiredFlow)
{
	Timeline timeline;
	GetParam().begin(timeline);
	timeline.arp(GetParam().timeout - 1ns);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.arp(GetParam().timeout);
	EXPECT_THAT(timeline.ended(), ElementsAre(GetParam().ends));
}

TEST_P(Timeouts, TheEndOfTheCaptureIsNotATimeout)
{
	Timeline timeline;
	GetParam().begin(timeline);
	timeline.arp(GetParam().timeout - 1ns);
	timeline.finish();
	EXPECT_THAT(timeline.ended(), ElementsAre("1 shutdown"));
}

TEST(Expiry, BothDirectionsMustBeIdle)
{
	Timeline timeline;
	timeline.packet(0s, 1);
	timeline.reply(600ms, 1);
	timeline.packet(1599ms, 1); // 1.599 s after the last one of its direction
	timeline.reply(2598ms, 1);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.arp(3598ms);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout"));
}

TEST(Expiry, RecordsAreOrderedByExpiryThenByFlowId)
{
	Timeline timeline;
	timeline.packet(0s, 1, rst); // 1: until 10 s
	timeline.packet(0s, 2, syn); // 2: until 2.2 s
	timeline.packet(0s, 3);      // 3, 4, 5: until 1 s
	timeline.packet(0s, 4);      //
	timeline.packet(0s, 5);      //
	timeline.packet(900ms, 3);   // 3: until 1.9 s
	timeline.packet(1200ms, 6);  // 6: until 2.2 s
	EXPECT_THAT(timeline.ended(), ElementsAre("4 idle_timeout", "5 idle_timeout"));
	timeline.arp(1min);
	EXPECT_THAT(timeline.ended(),
		    ElementsAre("3 idle_timeout", "2 idle_timeout", "6 idle_timeout", "1 idle_timeout"));
}

TEST(Expiry, ARecordPrecedesThePacketThatArrivesAtItsExpiry)
{
	Timeline timeline;
	timeline.packet(0s, 1);
	timeline.packet(500ms, 2);
	timeline.packet(1s, 3);
	timeline.packet(1500ms, 4);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout", "2 idle_timeout"));
	EXPECT_THAT(timeline.collector().ended_before, ElementsAre(2, 3)) << "packets reported before";
}

// The abort moves the expiry of the flow to an earlier time.
TEST(Expiry, AnAbortedFlowEndsBeforeOlderFlows)
{
	Timeline timeline;
	timeline.packet(0s, 1, syn); // until 2.2 s
	timeline.packet(0s, 2);      // until 1 s
	timeline.reply(100ms, 1);    // would keep the flow that is aborted until 1.1 s
	timeline.abort(200ms, 1);    // both directions: until 201 ms
	timeline.arp(201ms - 1ns);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.arp(201ms);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 abort_timeout"));
	timeline.arp(5s);
	EXPECT_THAT(timeline.ended(), ElementsAre("2 idle_timeout")) << "flow 1 must end only once";
}

TEST(Expiry, PacketsKeepAnAbortedFlowAlive)
{
	Timeline timeline;
	timeline.abort(0s, 1);
	for (int i = 1; i <= 50; i++)
		timeline.packet(i * 999us, 1, ack, 0);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.packet(50 * 999us + 1ms, 1);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 abort_timeout"));
	const tcpwin_record &first = timeline.collector().flows.at(0);
	EXPECT_EQ(first.flow.direction[0].zero_window_count + first.flow.direction[1].zero_window_count, 52U);
}

TEST(Expiry, RemainingFlowsEndInOrderOfExpiry)
{
	Timeline timeline;
	timeline.packet(0s, 1, rst); // until 10 s
	timeline.packet(0s, 2);      // until 1.2 s, after the packet below
	timeline.packet(0s, 3, syn); // until 2.2 s
	timeline.packet(0s, 4);      // until 1.3 s
	timeline.packet(100ms, 5);   // until 1.1 s
	timeline.packet(200ms, 2);
	timeline.packet(300ms, 4);
	timeline.packet(300ms, 6); // until 1.3 s
	timeline.finish();
	EXPECT_THAT(timeline.ended(),
		    ElementsAre("5 shutdown", "2 shutdown", "4 shutdown", "6 shutdown", "3 shutdown", "1 shutdown"));
}

TEST(Expiry, FlowsThatExpiredBeforeTheEndKeepTheirReason)
{
	Timeline timeline;
	timeline.abort(0s, 1);
	timeline.packet(0s, 2);
	timeline.packet(1s, 3);
	timeline.finish();
	EXPECT_THAT(timeline.ended(), ElementsAre("1 abort_timeout", "2 idle_timeout", "3 shutdown"));
}

// Here T2 would stop ending flows altogether.
TEST(Expiry, BackwardTimesAreNotIdleTimeAndDoNotAffectOtherFlows)
{
	Timeline timeline;
	timeline.packet(10s, 1);
	timeline.packet(0s, 2);
	timeline.packet(0s, 1); // ten seconds back
	EXPECT_EQ(timeline.flow_of_last_packet(), 1U);
	EXPECT_THAT(timeline.ended(), IsEmpty());

	timeline.packet(1s, 3);
	EXPECT_THAT(timeline.ended(), ElementsAre("2 idle_timeout")) << "1 was last seen at 10 s";
	timeline.arp(11s - 1ns);
	EXPECT_THAT(timeline.ended(), ElementsAre("3 idle_timeout"));
	timeline.arp(11s);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout"));
}

TEST(Expiry, AnEarlierPacketIsCountedButDoesNotMoveTheLastTime)
{
	Timeline timeline;
	timeline.packet(10s, 1);
	timeline.packet(0s, 1);
	timeline.finish();
	const SeenPacket &second = timeline.collector().packets.at(1);
	const tcpwin_flow &flow = timeline.collector().flows.at(0).flow;
	const tcpwin_direction &client = flow.direction[second.event.from];
	EXPECT_EQ(client.packets, 2U);
	EXPECT_EQ(client.first_ns, static_cast<__u64>((start + 10s).count()));
	EXPECT_EQ(client.last_ns, static_cast<__u64>((start + 10s).count()));
	EXPECT_EQ(second.event.now_ns, static_cast<__u64>(start.count()));
}

// Two clocks in turn: each step back is larger than any timeout.
TEST(Expiry, AlternatingClocksCutOnlyTheFlowOfTheLateClock)
{
	Timeline timeline;
	for (int i = 0; i < 100; i++) {
		timeline.packet(i * 100ms, 1);
		timeline.packet(i * 100ms - 1h, 2);
	}
	timeline.finish();
	EXPECT_EQ(timeline.counters().value[TCPWIN_COUNTER_FLOWS_CREATED], 1U + 100U)
		<< "flow 1 is never idle; at every packet of flow 1, flow 2 is an hour late and ends";
}

TEST(Expiry, TimesAtBothEndsOfTheRangeAreHandled)
{
	Timeline timeline;
	const nanoseconds latest = 9'000'000'000s + 999'999'999ns - start; // the latest time that the reader accepts
	timeline.packet(-start, 1);
	timeline.packet(1s - start, 1);
	timeline.packet(latest, 2);
	timeline.packet(latest, 2);
	timeline.finish();
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout", "2 idle_timeout", "3 shutdown"));
}

TEST(Expiry, LaterFragmentsKeepTheirFlowAlive)
{
	const auto fragment = [](std::uint16_t id, std::uint16_t offset, bool more) {
		return Frame().ethernet().ipv4(
			"10.0.0.1", "10.0.0.2",
			{.id = id, .fragment_offset = offset, .more_fragments = more, .protocol = 6});
	};
	Timeline timeline;
	timeline.frame(0s, fragment(7, 0, true).tcp(1, 5000, ack).payload(1460).bytes());
	timeline.frame(900ms, fragment(7, 185, true).payload(1480).bytes());
	timeline.frame(1800ms, fragment(7, 370, false).payload(100).bytes());
	timeline.frame(1900ms, fragment(8, 370, false).payload(100).bytes()); // of an unknown packet
	timeline.arp(2800ms - 1ns);
	EXPECT_THAT(timeline.ended(), IsEmpty());
	timeline.arp(2800ms);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout"));

	const tcpwin_flow &flow = timeline.collector().flows.at(0).flow;
	EXPECT_EQ(flow.direction[0].packets + flow.direction[1].packets, 3U);
	EXPECT_EQ(flow.direction[0].bytes + flow.direction[1].bytes, 1500U + 1500U + 120U);
	EXPECT_EQ(timeline.counters().value[TCPWIN_COUNTER_TRACKED], 3U);
	EXPECT_EQ(timeline.counters().value[TCPWIN_COUNTER_LATER_FRAGMENT], 1U);
}

TEST(Expiry, AFragmentOfAnEndedFlowIsNotCountedInANewFlowOfTheConnection)
{
	const auto fragment = [](std::uint16_t offset) {
		return Frame().ethernet().ipv4(
			"10.0.0.1", "10.0.0.2",
			{.id = 7, .fragment_offset = offset, .more_fragments = true, .protocol = 6});
	};
	Timeline timeline;
	timeline.frame(0s, fragment(0).tcp(1, 5000, ack).payload(1460).bytes());
	timeline.packet(1s, 1);
	timeline.frame(1500ms, fragment(185).payload(1480).bytes());
	EXPECT_EQ(timeline.counters().value[TCPWIN_COUNTER_LATER_FRAGMENT], 1U);
	timeline.arp(2s);
	EXPECT_THAT(timeline.ended(), ElementsAre("1 idle_timeout", "2 idle_timeout"));
}

// A million connections of one packet each, ten milliseconds apart: a hundred are alive at a time.
class Churn {
public:
	explicit Churn(FlowObserver &observer) : engine_(make_portable_engine({}, observer)) {}

	void run(std::uint32_t flows)
	{
		for (std::uint32_t i = 0; i < flows; i++, sent_++) {
			for (std::size_t byte = 0; byte < 4; byte++)
				frame_[source_at + byte] = static_cast<std::uint8_t>(sent_ >> 8 * byte);
			const auto size = static_cast<std::uint32_t>(frame_.size());
			const std::uint64_t time = 1'000'000'000'000 + sent_ * 10'000'000ULL;
			ASSERT_TRUE(engine_->packet({frame_.data(), size, size, LinkType::ethernet, time, sent_ + 1}));
		}
	}
	tcpwin_counters counters() const { return *engine_->counters(); }

private:
	static constexpr std::size_t source_at = 14 + 12;

	std::unique_ptr<Engine> engine_;
	Bytes frame_ = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 5000, ack).bytes();
	std::uint32_t sent_ = 0;
};

struct Counter final : FlowObserver {
	std::uint64_t flows = 0;
	std::uint64_t last_id = 0;
	bool in_order = true;

	void on_flow(const tcpwin_record &record) override
	{
		flows++;
		in_order = in_order && record.flow.id == last_id + 1;
		last_id = record.flow.id;
	}
	void on_alarm(const tcpwin_alarm &) override {}
	void on_packet(const tcpwin_packet_event &, std::uint64_t) override {}
};

TEST(Memory, GrowsWithLiveFlowsNotWithPackets)
{
	Counter counter;
	Churn churn(counter);
	churn.run(10'000);
	const std::size_t before = mallinfo2().uordblks;
	churn.run(990'000);
	const std::size_t after = mallinfo2().uordblks;

	EXPECT_EQ(churn.counters().value[TCPWIN_COUNTER_FLOWS_CREATED], 1'000'000U);
	EXPECT_EQ(churn.counters().peak_flows, 100U);
	EXPECT_EQ(counter.flows, 1'000'000U - 100U);
	EXPECT_TRUE(counter.in_order);
	EXPECT_LT(after, before + 64 * 1024);
}

// Long-lived connections do not accumulate memory either, aborted or not.
TEST(Memory, DoesNotGrowWithThePacketsOfAFlow)
{
	Counter counter;
	const auto engine = make_portable_engine({}, counter);
	const Bytes open = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 5000, ack).bytes();
	const Bytes closed = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(2, 5000, ack, {.window = 0}).bytes();
	std::uint64_t number = 0;
	const auto run = [&](std::uint32_t packets) {
		for (std::uint32_t i = 0; i < packets; i++)
			for (const Bytes &bytes : {open, closed}) {
				const auto size = static_cast<std::uint32_t>(bytes.size());
				number++;
				ASSERT_TRUE(engine->packet({bytes.data(), size, size, LinkType::ethernet,
							    1'000'000'000'000 + number * 400'000, number}));
			}
	};
	run(1'000);
	const std::size_t before = mallinfo2().uordblks;
	run(200'000);
	EXPECT_LT(mallinfo2().uordblks, before + 64 * 1024);
	EXPECT_EQ(engine->counters()->peak_flows, 2U);
	EXPECT_EQ(counter.flows, 0U);
}

// Only a bounded number of first fragments is remembered.
TEST(Memory, DoesNotGrowWithFragmentedPackets)
{
	Counter counter;
	const auto engine = make_portable_engine({}, counter);
	Bytes first =
		Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2", {.more_fragments = true}).tcp(1, 5000, ack).bytes();
	std::uint64_t number = 0;
	const auto run = [&](std::uint32_t packets) {
		for (std::uint32_t i = 0; i < packets; i++) {
			number++;
			for (std::size_t byte = 0; byte < 4; byte++)
				first[14 + 16 + byte] = static_cast<std::uint8_t>(number >> 8 * byte);
			const auto size = static_cast<std::uint32_t>(first.size());
			ASSERT_TRUE(engine->packet({first.data(), size, size, LinkType::ethernet,
						    1'000'000'000'000 + number * 10'000'000, number}));
		}
	};
	run(2 * TCPWIN_MAX_FRAGMENTED_PACKETS);
	const std::size_t before = mallinfo2().uordblks;
	run(100'000);
	EXPECT_LT(mallinfo2().uordblks, before + 64 * 1024);
}

} // namespace
} // namespace tcpwin::test
