// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "record/names.hpp"
#include "sinks/format.hpp"
#include "record/stats.hpp"
#include "support/emitted.hpp"

using namespace tcpwin;
using namespace std::chrono_literals;

namespace {

// Every counter has a different value, and a different increase.
Stats example()
{
	Stats stats{.time = WallTime(1'795'470'599'731'441'107ns),
		    .uptime = 20'000'000'001ns,
		    .interval = 10s,
		    .last = false,
		    .flows = 3,
		    .max_flows = 1024,
		    .coverage = {.unseen = 1'500'000'000ns, .reattachments = 2, .detached = 1},
		    .totals = {},
		    .before = {}};
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++) {
		stats.totals.counters.value[i] = 1000U + 3U * static_cast<unsigned>(i);
		stats.before.counters.value[i] = 1000U + static_cast<unsigned>(i);
	}
	stats.totals.counters.peak_flows = 4;
	stats.totals.records = {.flows = 7, .alarms = 6, .interim = 5, .below_threshold = 4, .unwritten = 3};
	stats.before.records = {.flows = 1, .alarms = 2, .interim = 3, .below_threshold = 4, .unwritten = 0};
	return stats;
}

std::string line_of(const Stats &stats, Format format)
{
	fmt::memory_buffer out;
	make_flow_format(format)->stats(stats, out);
	test::keep_emitted({out.data(), out.size()});
	return {out.data(), out.size()};
}

} // namespace

TEST(Stats, TotalsAndDeltas)
{
	const std::string line = line_of(example(), Format::json);
	ASSERT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
	const auto stats = nlohmann::json::parse(line);
	EXPECT_EQ(stats["time"], "2026-11-23T21:49:59.731441107Z");
	EXPECT_EQ(stats["time_ns"], 1'795'470'599'731'441'107);
	EXPECT_THAT(line, testing::HasSubstr("\"uptime\":20.000000001,\"interval\":10.000000000,\"last\":false"));
	EXPECT_EQ(stats["flows"], 3);
	EXPECT_EQ(stats["peak_flows"], 4);
	EXPECT_EQ(stats["max_flows"], 1024);
	EXPECT_THAT(line, testing::HasSubstr("\"unseen\":1.500000000,\"reattachments\":2,\"detached_hooks\":1"));
	const auto check_all = [&](const auto &names) {
		for (const CounterName &counter : names) {
			EXPECT_EQ(stats["totals"][std::string(counter.name)], 1000 + 3 * counter.counter)
				<< counter.name;
			EXPECT_EQ(stats["delta"][std::string(counter.name)], 2 * counter.counter) << counter.name;
		}
	};
	check_all(verdict_names);
	check_all(event_names);
	check_all(reject_names);
	const auto names = {"flow_records", "alarms", "interim_records", "packets_below_threshold",
			    "records_unwritten"};
	std::vector<int> totals, delta;
	for (const char *name : names) {
		totals.push_back(stats["totals"][name]);
		delta.push_back(stats["delta"][name]);
	}
	EXPECT_THAT(totals, testing::ElementsAre(7, 6, 5, 4, 3));
	EXPECT_THAT(delta, testing::ElementsAre(6, 4, 2, 0, 3));
	EXPECT_EQ(stats["totals"]["packets"], packets_seen(example().totals.counters));
}

TEST(Stats, AreNotWrittenAsColumns)
{
	EXPECT_EQ(line_of(example(), Format::t2), "");
}
