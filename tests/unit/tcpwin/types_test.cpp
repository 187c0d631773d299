// SPDX-License-Identifier: Apache-2.0
//
// The lists of names, Tranalyzer2's codes and the defaults.
#include <tcpwin/types.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::MatchesRegex;
using testing::Pair;
using testing::SizeIs;

struct Name {
	int value;
	std::string text;
};

#define X(name, text, ...) {TCPWIN_REJECT_##name, text},
const std::vector<Name> rejects = {TCPWIN_REJECTS(X)};
#undef X

#define X(name, text, ...) {TCPWIN_COUNTER_##name, text},
const std::vector<Name> verdicts_and_events = {TCPWIN_VERDICTS(X) TCPWIN_EVENTS(X)};
const std::vector<Name> counters = {TCPWIN_VERDICTS(X) TCPWIN_EVENTS(X) TCPWIN_REJECTS(X)};
#undef X

#define X(name, text) {TCPWIN_END_##name, text},
const std::vector<Name> end_reasons = {TCPWIN_END_REASONS(X)};
#undef X

#define X(name, nanoseconds) {TCPWIN_TIMEOUT_##name, #name},
const std::vector<Name> timeouts = {TCPWIN_TIMEOUTS(X)};
#undef X

// Every value from first up to end has one name, and all names differ.
void expect_names_for_all(const std::vector<Name> &names, int first, int end)
{
	std::set<std::string> texts;
	for (std::size_t i = 0; i < names.size(); i++) {
		EXPECT_EQ(names[i].value, first + static_cast<int>(i)) << names[i].text;
		texts.insert(names[i].text);
	}
	EXPECT_EQ(first + static_cast<int>(names.size()), end);
	EXPECT_THAT(texts, SizeIs(names.size()));
	EXPECT_THAT(texts, Each(MatchesRegex("[A-Za-z0-9_]+")));
}

TEST(Types, EveryRejectReasonHasAName)
{
	EXPECT_EQ(TCPWIN_ACCEPTED, 0) << "a reject reason is true, acceptance is false";
	expect_names_for_all(rejects, 1, TCPWIN_REJECT_COUNT);
}

TEST(Types, EveryCounterHasAName)
{
	expect_names_for_all(counters, 0, TCPWIN_COUNTER_COUNT);
}

TEST(Types, EveryEndReasonHasAName)
{
	expect_names_for_all(end_reasons, 0, TCPWIN_END_COUNT);
	EXPECT_EQ(end_reasons.at(TCPWIN_END_SHUTDOWN).text, "shutdown");
	EXPECT_EQ(end_reasons.at(TCPWIN_END_IDLE_TIMEOUT).text, "idle_timeout");
	EXPECT_EQ(end_reasons.at(TCPWIN_END_ABORT_TIMEOUT).text, "abort_timeout");
}

TEST(Types, EveryTimeoutHasAName)
{
	expect_names_for_all(timeouts, 0, TCPWIN_TIMEOUT_COUNT);
	EXPECT_EQ(TCPWIN_TIMEOUT_NEW, 0) << "a direction of zeros has the timeout of NEW";
}

TEST(Types, EachRejectHasItsOwnCounterOfTheSameName)
{
	std::set<int> used;

	for (const Name &reject : rejects) {
		int counter = TCPWIN_COUNTER_OF_REJECT(reject.value);
		ASSERT_GE(counter, 0);
		ASSERT_LT(counter, TCPWIN_COUNTER_COUNT);
		EXPECT_EQ(counters[static_cast<std::size_t>(counter)].text, reject.text);
		EXPECT_TRUE(used.insert(counter).second) << reject.text << " shares a counter";
	}
	for (const Name &other : verdicts_and_events)
		EXPECT_FALSE(used.contains(other.value)) << other.text << " is not a reject reason";
}

TEST(Types, MalformedInputOfTheSemanticsHasReasons)
{
	std::set<std::string> texts;
	for (const Name &reject : rejects)
		texts.insert(reject.text);

	EXPECT_THAT(texts, IsSupersetOf({"ethernet_truncated", "ip_truncated", "tcp_truncated", "ip_header_length",
					 "ip_version", "tcp_data_offset", "ip_length", "later_fragment",
					 "ipv6_extensions", "vlan_depth"}));
}

TEST(Types, StatesHaveTheCodesOfTranalyzer2)
{
	std::vector<std::pair<std::string, int>> states;
#define X(name, code) states.emplace_back(#name, TCPWIN_STATE_##name);
	TCPWIN_STATES(X)
#undef X
	EXPECT_THAT(states, ElementsAre(Pair("NEW", 0x00), Pair("BGN", 0x01), Pair("EST", 0x02), Pair("ABRT", 0x04)));
}

TEST(Types, StatBitsAreThoseOfTranalyzer2AndDisjoint)
{
	EXPECT_EQ(TCPWIN_STAT_BELOW_THRESHOLD, 0x80);
	EXPECT_EQ(TCPWIN_STAT_ABORTED, 0x40);
	EXPECT_EQ(TCPWIN_STAT_FLAGS,
		  TCPWIN_FLAG_FIN | TCPWIN_FLAG_SYN | TCPWIN_FLAG_RST | TCPWIN_FLAG_PSH | TCPWIN_FLAG_ACK);
}

TEST(Types, TcpFlagsAreInBitOrder)
{
	std::vector<std::pair<std::string, int>> flags;
#define X(name, bit) flags.emplace_back(#name, TCPWIN_FLAG_##name);
	TCPWIN_FLAGS(X)
#undef X
	EXPECT_THAT(flags, ElementsAre(Pair("FIN", 1), Pair("SYN", 2), Pair("RST", 4), Pair("PSH", 8), Pair("ACK", 16),
				       Pair("URG", 32), Pair("ECE", 64), Pair("CWR", 128)));
}

TEST(Types, DefaultsAreThoseOfTheSemantics)
{
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;

	EXPECT_EQ(config.timeout_ns[TCPWIN_TIMEOUT_NEW], 10'000'000'000u);
	EXPECT_EQ(config.timeout_ns[TCPWIN_TIMEOUT_BGN], 2'200'000'000u);
	EXPECT_EQ(config.timeout_ns[TCPWIN_TIMEOUT_EST], 1'000'000'000u);
	EXPECT_EQ(config.timeout_ns[TCPWIN_TIMEOUT_ABRT], 1'000'000u);
	EXPECT_EQ(config.window_threshold, 1u);
	EXPECT_EQ(config.abort_count, 2u);
}

// The reader of the map and the BPF program are compiled separately: both rely on these.
TEST(Types, AnEntryOfTheKernelsTableFillsCacheLines)
{
	const std::size_t of_the_kernel = 48, line = 64, before = of_the_kernel + sizeof(tcpwin_key);

	EXPECT_EQ(sizeof(tcpwin_key), 40u);
	EXPECT_EQ(sizeof(tcpwin_flow), 552u);
	EXPECT_EQ((before + sizeof(tcpwin_flow)) % line, 0u);
	EXPECT_LE(before + offsetof(tcpwin_flow, progress), 4 * line) << "plain counting";
	EXPECT_LE(before + offsetof(tcpwin_flow, analysis), 7 * line) << "and what the analysis of most packets needs";
	EXPECT_EQ(alignof(tcpwin_key), 8u);
	EXPECT_EQ(offsetof(tcpwin_flow, seq), 0u);
}

TEST(Types, MessagesHaveDistinctTypesAndNoneIsZero)
{
	std::set<int> types = {TCPWIN_MESSAGE_NONE};
#define X(name, message) EXPECT_TRUE(types.insert(TCPWIN_MESSAGE_##name).second) << #name;
	TCPWIN_MESSAGES(X)
#undef X
	EXPECT_EQ(TCPWIN_MESSAGE_NONE, 0) << "layouts up to 3 have no type";
	EXPECT_EQ(TCPWIN_MESSAGE_RECORD, 1) << "maps outlive an agent";
	EXPECT_EQ(TCPWIN_MESSAGE_ALARM, 2);
	EXPECT_EQ(TCPWIN_MESSAGE_TABLE_FULL, 3);
}

TEST(Types, CountersHoldOneValueEach)
{
	EXPECT_EQ(sizeof(tcpwin_counters), (TCPWIN_COUNTER_COUNT + 1) * sizeof(__u64));
}

} // namespace
