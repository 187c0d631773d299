// SPDX-License-Identifier: Apache-2.0
//
// Accounting under stress: millions of live frames, and each one is accounted for.
#include <gmock/gmock.h>

#include "kernel/traffic.hpp"
#include "stress.hpp"

namespace tcpwin::test {
namespace {

constexpr uint8_t ack = TCPWIN_FLAG_ACK, syn = TCPWIN_FLAG_SYN, fin_ack = TCPWIN_FLAG_FIN | TCPWIN_FLAG_ACK;

live_traffic traffic_of(live_side side, uint32_t flows, live_order order, uint32_t burst)
{
	live_traffic traffic = default_traffic;
	traffic.side = side;
	traffic.flows = flows;
	traffic.order = order;
	traffic.burst = burst;
	return traffic;
}

// Both directions of every flow, each from a separate CPU. Some flows start with a SYN, some end, some are aborted.
std::vector<live_traffic> both_directions(uint32_t flows, live_order order, uint32_t burst)
{
	std::vector<live_traffic> both;
	for (live_side side : {LIVE_CLIENT, LIVE_SERVER}) {
		live_traffic traffic = traffic_of(side, flows, order, burst);
		const uint8_t flags[] = {ack, ack, syn, fin_ack};
		std::copy(std::begin(flags), std::end(flags), traffic.flags);
		traffic.stalls = 1;
		both.push_back(traffic);
	}
	return both;
}

void set_timeouts(tcpwin_config &config, uint64_t timeout_ns)
{
	for (__u64 &each : config.timeout_ns)
		each = timeout_ns;
}

// Each flow gets a slice of 32 us, the same on both CPUs. The next slice comes after 10 ms on average, often within 1 ms.
TEST_F(StressTest, TwoCpusSendTheSameFlowsWhileSweepsRun)
{
	constexpr uint64_t packets = 10'500'000; // per CPU
	watch({.flows = 4096}, both_directions(300, LIVE_TOGETHER, 32));
	set_timeouts(kernel_->config(), millisecond);
	send(packets, [&] {
		sweep(3 * millisecond);
		drain();
	});
	settle();

	EXPECT_GE(pair_->statistics().entered, 20'000'000u);
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
	EXPECT_LT(counter(TCPWIN_COUNTER_UNTRACKED_CONTENDED), packets / 1000);
	EXPECT_GT(counter(TCPWIN_COUNTER_FLOWS_CUT), 0u) << "no flow was ended by a packet";
	EXPECT_GT(sweeps_.exported, 300u) << "no flow was ended by a sweep";
	EXPECT_GT(sweeps_.deleted, 300u) << "no entry was deleted while packets came";
}

// Stalled flows stay alive and so get interim records. The flows that a host stalls are counted on both CPUs and by the
// sweep.
TEST_F(StressTest, EveryRuleAndAlarmWhileTwoCpusSend)
{
	watch({.flows = 4096}, both_directions(300, LIVE_TOGETHER, 32));
	tcpwin_config &config = kernel_->config();
	config = TCPWIN_MONITOR_CONFIG;
	config.rules &= ~TCPWIN_RULE_SKIP_SYN_RST_WINDOWS; // the accounts need the windows of all segments
	set_timeouts(config, millisecond);
	config.stalled_ns = 2 * second;
	config.stall_alarm_ns = 10 * millisecond;
	config.source_alarm = 1;
	config.active_s = 1;
	send(4'000'000, [&] {
		sweep(3 * millisecond);
		drain();
	});
	drain();
	const uint64_t interim = ledger_->interim();
	settle();

	const std::vector<int64_t> stalled = kernel_->stalled_flows();
	EXPECT_GE(interim, 100u);
	EXPECT_EQ(ledger_->interim(), sweeps_.interim);
	EXPECT_GE(ledger_->alarms(), 100u);
	EXPECT_EQ(counter(TCPWIN_COUNTER_ALARMS_UNREPORTED), 0u);
	EXPECT_GE(stalled.size(), 100u);
	EXPECT_EQ(std::ranges::count(stalled, 0), static_cast<std::ptrdiff_t>(stalled.size()))
		<< "flows that have ended still count as stalled";
}

TEST_F(StressTest, AHundredThousandFlowsInATableOfAThousand)
{
	watch({.flows = 1000}, both_directions(100'000, LIVE_IN_TURN, 8));
	set_timeouts(kernel_->config(), 20 * millisecond);
	send(2'400'000, [&] { sweep_as_the_agent(); }); // three rounds
	settle();

	EXPECT_GT(counter(TCPWIN_COUNTER_EVICTED_UNANSWERED), 90'000u);
	EXPECT_GT(early_sweeps_, 0u);
	EXPECT_GT(counter(TCPWIN_COUNTER_FLOWS_CREATED), 1000u) << "the early sweep made no room";
	EXPECT_LE(kernel_->counters().peak_flows, 1001u); // the sweep ends a flow before it updates the count
}

// By the timestamps of the kernel, not by our clock.
TEST_F(StressTest, AFullTableIsReportedAtMostAHundredTimesPerSecond)
{
	watch({.flows = 1000}, both_directions(100'000, LIVE_IN_TURN, 8));
	send(800'000, [&] { drain(); });
	settle();

	ASSERT_GT(notices_.size(), 1u);
	for (size_t i = 1; i < notices_.size(); i++)
		EXPECT_GE(notices_[i].now_ns, notices_[i - 1].now_ns + 10 * millisecond) << "notice " << i;
}

// The reader stops for a second: flows that should be cut continue, and are ended later.
TEST_F(StressTest, NoFlowIsLostWhenTheReaderOfASmallRingBufferStops)
{
	constexpr uint64_t ring_size = 64 * 1024, records = ring_size / (sizeof(tcpwin_record) + 8);
	watch({.flows = 4096, .records = ring_size}, both_directions(300, LIVE_TOGETHER, 32));
	set_timeouts(kernel_->config(), millisecond);
	const auto read = [&] {
		sweep(3 * millisecond);
		drain();
	};
	const auto ended = [&] { return counter(TCPWIN_COUNTER_FLOWS_CUT) + sweeps_.exported; };
	uint64_t deferred = 0, ended_before = 0, ended_after = 0;
	bool stopped = false;

	hold_ = true;
	send(2'000'000, [&] {
		read();
		if (stopped || sum(ledger_->packets()) < 500'000)
			return;
		drain();
		const uint64_t records_before = ledger_->records();
		deferred = counter(TCPWIN_COUNTER_DEFERRED_CUTS);
		ended_before = ended();
		std::this_thread::sleep_for(1s);
		while (counter(TCPWIN_COUNTER_DEFERRED_CUTS) == deferred)
			std::this_thread::sleep_for(10ms);
		EXPECT_LE(ended(), records_before + records) << "records that the ring buffer cannot hold";
		EXPECT_EQ(sweep(0).ring_full, 1u) << "the sweep found room";
		deferred = counter(TCPWIN_COUNTER_DEFERRED_CUTS) - deferred;
		ended_after = ended();
		stopped = true;
		hold_ = false;
	});
	const uint64_t ended_since = ended() - ended_after;
	settle();

	std::cout << "deferred while the reader was stopped " << deferred << ", ended before " << ended_before
		  << ", since " << ended_since << '\n';
	EXPECT_TRUE(stopped);
	EXPECT_GT(deferred, 0u);
	EXPECT_GT(ended_since, 300u) << "deferred cuts were not made up for";
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
}

void change(tcpwin_config &config, Random &random)
{
	static const std::vector<uint64_t> timeouts = {1, 1000, 50'000, millisecond, 20 * millisecond, second};
	for (__u64 &each : config.timeout_ns)
		each = random.one_of(timeouts);
	config.window_threshold = random.one_of(std::vector<uint32_t>{0, 1, 1100, 65536});
	config.abort_count = random.one_of(std::vector<uint32_t>{1, 2, 1000});
}

// The change is not atomic: each field is read separately.
TEST_F(StressTest, ConfigurationChangesWhileTrafficFlows)
{
	watch({.flows = 4096}, both_directions(300, LIVE_TOGETHER, 16), Threshold::changes);
	Random random(1);
	uint64_t changes = 0;
	send(2'500'000, [&] {
		change(kernel_->config(), random);
		changes++;
		sweep(random.one_of(std::vector<uint64_t>{0, millisecond, forever}));
		drain();
	});
	settle();

	std::cout << "changes " << changes << '\n';
	EXPECT_GT(changes, 100u);
	EXPECT_GT(counter(TCPWIN_COUNTER_FLOWS_CUT), 0u);
	EXPECT_GT(sweeps_.exported, 0u);
}

constexpr uint32_t flood = 1'000'000;

// Two CPUs with half a million sources each; every source sends two packets.
std::vector<live_traffic> syn_flood()
{
	std::vector<live_traffic> halves;
	for (uint32_t half : {0, 1}) {
		live_traffic traffic = traffic_of(LIVE_CLIENT, flood / 2, LIVE_IN_TURN, 1);
		traffic.first_flow = half * flood / 2;
		std::fill(std::begin(traffic.flags), std::end(traffic.flags), syn);
		halves.push_back(traffic);
	}
	return halves;
}

TEST_F(StressTest, ASynFloodOfAMillionSourcesOverflowsTheTable)
{
	constexpr uint32_t table = 262'144;
	watch({.flows = table}, syn_flood());
	send(flood, [&] { sweep_as_the_agent(); });
	settle();

	EXPECT_GT(counter(TCPWIN_COUNTER_FLOWS_CREATED), flood);
	EXPECT_GT(counter(TCPWIN_COUNTER_EVICTED_UNANSWERED), flood / 2);
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
}

TEST_F(StressTest, ASynFloodThatFitsIntoTheTableLosesNothing)
{
	watch({.flows = 1 << 20, .records = 1 << 24}, syn_flood());
	set_timeouts(kernel_->config(), forever);
	send(flood, [&] { sweep_as_the_agent(); });
	settle();

	EXPECT_EQ(ledger_->records(), flood);
	EXPECT_EQ(untracked(), 0u);
}

} // namespace
} // namespace tcpwin::test
