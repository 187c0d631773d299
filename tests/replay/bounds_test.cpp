// SPDX-License-Identifier: Apache-2.0
// A capture can fill the tables of the portable engine, too.
#include <fmt/format.h>

#include "engine/portable.hpp"
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

Bytes syn_of(std::uint32_t sender)
{
	const std::string source = fmt::format("10.{}.{}.{}", sender >> 16 & 255, sender >> 8 & 255, sender & 255);
	return Frame().ethernet().ipv4(source, "192.0.2.1").tcp(1024, 80, 0x02).bytes();
}

TEST(PortableBounds, AFloodNeedsNoMoreThanTheTable)
{
	constexpr std::uint32_t senders = 300'000, entries = 1'000;
	Collector collector;
	auto engine = make_portable_engine({.config = TCPWIN_TUTORIAL_CONFIG, .max_flows = entries}, collector);
	for (std::uint32_t i = 0; i < senders; i++)
		feed(*engine, {syn_of(i), 1'000'000'000'000'000'000ULL + i}, i + 1, LinkType::ethernet);
	const tcpwin_counters counters = *engine->counters();
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_TRACKED], senders);
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_EVICTED_UNANSWERED], senders - entries);
	EXPECT_EQ(counters.peak_flows, entries);
	EXPECT_EQ(collector.flows.size(), senders - entries);
	EXPECT_TRUE(engine->finish());
	EXPECT_EQ(collector.flows.size(), senders);
	for (std::uint32_t i = 0; i < senders; i++)
		ASSERT_EQ(collector.flows[i].flow.id, i + 1) << "the oldest is evicted first";
}

TEST(PortableBounds, FragmentedPacketsPushEachOtherOut)
{
	constexpr std::uint32_t senders = TCPWIN_MAX_FRAGMENTED_PACKETS + 1;
	Collector collector;
	auto engine = make_portable_engine({}, collector);
	const auto fragment = [](std::uint32_t sender, std::uint16_t offset) {
		const Ipv4Fields fields{.fragment_offset = offset, .more_fragments = true, .protocol = 6};
		Frame frame = Frame().ethernet().ipv4(fmt::format("10.1.{}.{}", sender >> 8, sender & 255), "192.0.2.1",
						      fields);
		return (offset ? frame.payload(64) : frame.tcp(1024, 80, 0x10).payload(64)).bytes();
	};
	for (std::uint32_t i = 0; i < senders; i++)
		feed(*engine, {fragment(i, 0), 1'000'000'000'000'000'000}, i + 1, LinkType::ethernet);
	feed(*engine, {fragment(0, 9), 1'000'000'000'000'000'000}, senders + 1, LinkType::ethernet);
	feed(*engine, {fragment(1, 9), 1'000'000'000'000'000'000}, senders + 2, LinkType::ethernet);
	const tcpwin_counters counters = *engine->counters();
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_TRACKED], senders + 1);
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_LATER_FRAGMENT], 1U);
}

} // namespace
} // namespace tcpwin::test
