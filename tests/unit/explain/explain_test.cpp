// SPDX-License-Identifier: Apache-2.0
// Records that continue each other are joined. Sentences and files: tests/net/test_explain.py.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "explain/connections.hpp"
#include "explain/input.hpp"
#include "explain/record_parser.hpp"
#include "explain/sentences.hpp"

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using namespace tcpwin;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

namespace {

WallTime at(std::chrono::nanoseconds time)
{
	return WallTime(1'000'000s + time);
}

ParsedSide side(const char *ip, std::optional<ParsedStall> stall = ParsedStall{})
{
	return {.ip = ip,
		.port = 80,
		.packets = 10,
		.zero_windows = 0,
		.fin = false,
		.rst = false,
		.ignored = 0,
		.duplicates = 0,
		.timeout = 1s,
		.stall = std::move(stall)};
}

ParsedStall stall(std::uint64_t episodes, std::chrono::nanoseconds total, std::chrono::nanoseconds longest, bool open)
{
	ParsedStall stall;
	stall.episodes = episodes;
	stall.total = total;
	stall.longest = longest;
	stall.open = open;
	stall.last_ended = open ? "" : "resumed";
	stall.probes = 1;
	stall.answers = 1;
	return stall;
}

// From reader to writer; the reader's stall.
ParsedFlow flow(std::uint64_t id, std::uint64_t continues, std::chrono::nanoseconds first,
		std::chrono::nanoseconds last, std::optional<ParsedStall> readers = ParsedStall{})
{
	ParsedFlow flow;
	flow.id = id;
	flow.continues = continues;
	flow.end_reason = "idle_timeout";
	flow.first = at(first);
	flow.last = at(last);
	flow.a = side("10.0.0.1", std::move(readers));
	flow.b = side("10.0.0.2");
	return flow;
}

SideStory only_story(const Connections &connections)
{
	const auto entries = connections.stalled();
	EXPECT_THAT(entries, SizeIs(1));
	return entries.empty() ? SideStory{} : *entries[0].side;
}

} // namespace

TEST(Explain, TimeBetweenTwoRecordsIsStalledWhileTheWindowIsClosed)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 2s, stall(1, 1s, 1s, true)));
	connections.add(flow(7, 1, 5s, 6s, stall(1, 500ms, 500ms, false)));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.episodes, 1U);
	EXPECT_EQ(story.stall.total, 1s + 3s + 500ms);
	EXPECT_EQ(story.stall.longest, 1s + 3s + 500ms);
	EXPECT_FALSE(story.longest_is_least);
	EXPECT_FALSE(story.stall.open);
	EXPECT_EQ(story.stall.last_ended, "resumed");
	EXPECT_EQ(story.stall.probes, 2U);
	EXPECT_EQ(story.packets, 20U);
}

TEST(Explain, AWindowThatWasOpenIsNotStalledBetweenTwoRecords)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 2s, stall(2, 1s, 600ms, false)));
	connections.add(flow(2, 1, 5s, 6s, stall(1, 500ms, 500ms, false)));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.episodes, 3U);
	EXPECT_EQ(story.stall.total, 1500ms);
	EXPECT_EQ(story.stall.longest, 600ms);
}

TEST(Explain, ARecordThatOpensTheWindowEndsTheStall)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 2s, stall(1, 2s, 2s, true)));
	connections.add(flow(2, 1, 5s, 6s));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.total, 5s);
	EXPECT_EQ(story.stall.longest, 5s);
	EXPECT_FALSE(story.stall.open);
	EXPECT_EQ(story.stall.last_ended, "resumed");
}

TEST(Explain, AReaderThatIsSilentInARecordIsStillStalled)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 2s, stall(1, 2s, 2s, true)));
	ParsedFlow probe = flow(2, 1, 5s, 6s);
	probe.a = *probe.b;
	probe.b.reset();
	connections.add(probe);
	connections.add(flow(3, 2, 9s, 9s, stall(1, 0s, 0s, true)));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.episodes, 1U);
	EXPECT_EQ(story.stall.total, 9s);
	EXPECT_EQ(story.stall.longest, 9s);
	EXPECT_TRUE(story.stall.open);
}

TEST(Explain, TheOpenOneOfSeveralEpisodesIsTheLast)
{
	Connections connections;
	ParsedStall two = stall(2, 3s, 2s, true);
	two.last_began = at(3s);
	connections.add(flow(1, 0, 0s, 4s, two));
	connections.add(flow(2, 1, 6s, 7s, stall(1, 1s, 1s, false)));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.episodes, 2U);
	EXPECT_EQ(story.stall.total, 3s + 2s + 1s);
	EXPECT_EQ(story.stall.longest, 1s + 2s + 1s);
	EXPECT_EQ(story.stall.last_began, at(3s));
	EXPECT_FALSE(story.longest_is_least);
}

TEST(Explain, WhichOfSeveralEpisodesContinuesAnotherIsUnknown)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 4s, stall(1, 1s, 1s, true)));
	connections.add(flow(2, 1, 5s, 9s, stall(2, 3s, 2s, false)));
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.episodes, 2U);
	EXPECT_EQ(story.stall.total, 1s + 1s + 3s);
	EXPECT_EQ(story.stall.longest, 2s);
	EXPECT_TRUE(story.longest_is_least);
}

TEST(Explain, NumbersOfAnotherRunOfTheAgentAreNotFollowed)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 2s, stall(1, 1s, 1s, true)));
	ParsedFlow other = flow(2, 1, 5s, 6s, stall(1, 1s, 1s, true));
	other.a.ip = "10.9.9.9";
	connections.add(other);
	connections.add(flow(3, 77, 7s, 8s, stall(1, 1s, 1s, true)));
	EXPECT_THAT(connections.stalled(), SizeIs(3));
}

TEST(Explain, TheWorstComesFirst)
{
	Connections connections;
	connections.add(flow(1, 0, 0s, 9s, stall(5, 1s, 1s, false)));
	connections.add(flow(2, 0, 0s, 9s, stall(1, 3s, 3s, false)));
	for (std::uint64_t zero_windows : {3, 4}) {
		ParsedFlow counted = flow(10 + zero_windows, 0, 0s, 9s, std::nullopt);
		counted.a.zero_windows = zero_windows;
		connections.add(counted);
	}
	std::vector<std::uint64_t> ids;
	for (const Entry &entry : connections.stalled())
		ids.push_back(entry.connection->record.id);
	EXPECT_THAT(ids, ElementsAre(2, 1, 14, 13));
	EXPECT_EQ(connections.without_analysis(), 2U);
}

TEST(Explain, ZeroWindowsThatBlockNobodyAreNotAStall)
{
	Connections connections;
	ParsedFlow reset = flow(1, 0, 0s, 9s);
	reset.a.zero_windows = 3;
	connections.add(reset);
	EXPECT_THAT(connections.stalled(), SizeIs(0));
	EXPECT_EQ(connections.harmless(), 3U);
}

TEST(Explain, BothSidesMayHaveTheSameEndpoint)
{
	Connections connections;
	for (std::uint64_t id : {1, 2}) {
		ParsedFlow self = flow(id, id - 1, 0s, 9s, stall(1, 1s, 1s, false));
		self.b = self.a;
		connections.add(self);
	}
	const auto entries = connections.stalled();
	ASSERT_THAT(entries, SizeIs(2));
	EXPECT_EQ(entries[0].side->packets, 20U);
	EXPECT_EQ(entries[1].side->packets, 20U);
}

TEST(Explain, AConnectionHasNoThirdEndpoint)
{
	Connections connections;
	for (std::uint64_t id = 1; id <= 5; id++) {
		ParsedFlow next = flow(id, id - 1, 0s, 9s, stall(1, 1s, 1s, false));
		next.b->port = static_cast<std::uint16_t>(id);
		connections.add(next);
	}
	EXPECT_THAT(connections.stalled(), SizeIs(5));
}

TEST(Explain, SumsSaturate)
{
	Connections connections;
	constexpr auto long_time = 9'100'000'000s;
	for (std::uint64_t id = 1; id <= 20; id++) {
		ParsedFlow next = flow(id, id - 1, 0s, 0s, stall(UINT64_MAX, long_time, long_time, true));
		next.first = WallTime(0s);
		next.last = WallTime::max();
		next.a.packets = UINT64_MAX;
		next.a.stall->probes = UINT64_MAX;
		next.a.stall->last_began = WallTime(0s);
		connections.add(next);
	}
	const SideStory story = only_story(connections);
	EXPECT_EQ(story.stall.total, std::chrono::nanoseconds::max());
	EXPECT_EQ(story.stall.longest, std::chrono::nanoseconds::max());
	EXPECT_EQ(story.stall.episodes, UINT64_MAX);
	EXPECT_EQ(story.stall.probes, UINT64_MAX);
	EXPECT_EQ(story.packets, UINT64_MAX);
}

TEST(Explain, AConnectionThatIsSeenAtSeveralPlacesIsOne)
{
	Connections connections;
	for (std::uint64_t vlan : {10, 20, 30}) {
		ParsedFlow seen = flow(vlan, 0, vlan * 1ms, 9s, stall(1, 7s, 7s, false));
		seen.vlan = vlan;
		connections.add(seen);
	}
	const auto entries = connections.stalled();
	ASSERT_THAT(entries, SizeIs(1));
	EXPECT_EQ(entries[0].connection->record.vlan, 10U);
	ASSERT_THAT(entries[0].copies, SizeIs(2));
	EXPECT_EQ(entries[0].copies[1]->record.vlan, 30U);
}

TEST(Explain, AConnectionHasTheVlansOfAllItsRecords)
{
	Connections connections;
	ParsedFlow first = flow(1, 0, 0s, 1s, stall(1, 1s, 1s, true)),
		   second = flow(2, 1, 2s, 3s, stall(0, 0s, 0s, false));
	first.vlans = {10, 20};
	second.vlans = {20, 30};
	connections.add(first);
	connections.add(second);
	EXPECT_THAT(connections.stalled().at(0).connection->record.vlans, ElementsAre(10, 20, 30));
}

TEST(Explain, OtherConnectionsOfTheSameAddressesAreNoCopies)
{
	Connections connections;
	const auto add = [&](std::uint64_t id, std::uint64_t vlan, std::chrono::nanoseconds first,
			     std::uint64_t episodes) {
		ParsedFlow seen = flow(id, 0, first, first + 9s, stall(episodes, 7s, 7s, false));
		seen.vlan = vlan;
		connections.add(seen);
	};
	add(1, 10, 0s, 1);
	add(2, 10, 0s, 1); // the same place
	add(3, 20, 5s, 1); // later
	add(4, 30, 0s, 2); // other stalls
	EXPECT_THAT(connections.stalled(), SizeIs(4));
}

TEST(Explain, ARstThatThePeerIgnoredIsNoReset)
{
	Connections connections;
	ParsedFlow ignored = flow(1, 0, 0s, 9s, stall(1, 7s, 7s, false));
	ignored.b->rst = true;
	ignored.b->ignored = 1;
	connections.add(ignored);
	const auto is_reset = [&] {
		const Entry entry = connections.stalled().back();
		return entry.connection->was_reset_by(*entry.connection->peer_of(*entry.side));
	};
	EXPECT_FALSE(is_reset());
	ignored.a.stall->last_ended = "reset"; // another one was accepted
	connections.add(ignored);
	EXPECT_TRUE(is_reset());
	ignored.b->ignored = 0;
	ignored.a.stall->last_ended = "resumed";
	connections.add(ignored);
	EXPECT_TRUE(is_reset());
}

TEST(Explain, RecordsMayHaveNoTimes)
{
	Connections none, one, some;
	none.add(flow(1, 0, 0s, 0s, stall(1, 0s, 0s, false)));
	EXPECT_TRUE(none.has_no_times());
	ParsedFlow single = flow(1, 0, 0s, 0s);
	single.a.packets = 1;
	single.b.reset();
	one.add(single);
	EXPECT_FALSE(one.has_no_times()) << "a single packet has no duration";
	some.add(flow(1, 0, 0s, 1us));
	EXPECT_FALSE(some.has_no_times());
}

TEST(Explain, TheContentDeterminesTheKindOfFile)
{
	EXPECT_EQ(kind_of(""), InputKind::empty);
	EXPECT_EQ(kind_of("{\"sche"), InputKind::json);
	EXPECT_EQ(kind_of("\n {\"sc"), InputKind::json);
	EXPECT_EQ(kind_of("%dir\tf"), InputKind::t2);
	EXPECT_EQ(kind_of("pktNo\t"), InputKind::t2);
	for (const auto start : {"\xd4\xc3\xb2\xa1\x02\x00"sv, "\xa1\xb2\x3c\x4d"sv, "\x0a\x0d\x0d\x0a\x84\x00"sv,
				 "\x1f\x8b\x08\x00"sv, "\x28\xb5\x2f\xfd"sv, "\xfd\x37zXZ\0"sv})
		EXPECT_EQ(kind_of(start), InputKind::capture);
	EXPECT_EQ(kind_of("GET / "), InputKind::other);
	EXPECT_EQ(kind_of("{\0\0\0\0\0"sv), InputKind::other);
}

namespace {

std::string with(const std::string &more)
{
	const std::string ends = R"("packets":1,"bytes":40,"zero_window_count":1,"tcp_flags":["RST"],"timeout":0.001)";
	return R"({"schema":1,"event":"flow","flow_id":5,"in_iface":null,"vlan":null,"start_ns":1,"end_ns":2,)"
	       R"("end_reason":"shutdown","a":{"ip":"10.0.0.1","port":80,)" +
	       ends + more + R"(},"b":null})";
}

} // namespace

TEST(ExplainParser, AStallMayBeMissingOrNull)
{
	RecordParser parser;
	for (const char *without : {"", R"(,"stall":null)"}) {
		const auto flow = parser.parse(with(without));
		ASSERT_TRUE(flow && *flow) << flow.error();
		EXPECT_FALSE((*flow)->a.stall);
		EXPECT_TRUE((*flow)->a.rst);
		EXPECT_EQ((*flow)->a.timeout, 1ms);
		EXPECT_FALSE((*flow)->b);
	}
}

TEST(ExplainParser, ReadsAStall)
{
	RecordParser parser;
	const auto flow = parser.parse(with(R"(,"stall":{"zero_window_segments":3,"episodes":2,"total":4.200000001,
		"longest":3.1,"open":false,"last_ended":"fin","probes":5,"probe_answers":null})"));
	ASSERT_TRUE(flow && *flow) << flow.error();
	const ParsedStall &stall = *(*flow)->a.stall;
	EXPECT_EQ(stall.episodes, 2U);
	EXPECT_EQ(stall.total, 4'200'000'001ns);
	EXPECT_EQ(stall.longest, 3100ms);
	EXPECT_EQ(stall.last_ended, "fin");
	EXPECT_EQ(stall.probes, 5U);
	EXPECT_FALSE(stall.answers);
}

TEST(ExplainParser, EarlierVersionsHaveNoIgnoredSegments)
{
	RecordParser parser;
	const auto before = parser.parse(with(R"(,"tcp":{"payload_bytes":1})"));
	ASSERT_TRUE(before && *before) << before.error();
	EXPECT_EQ((*before)->a.ignored + (*before)->a.duplicates, 0U);
	const auto now = parser.parse(with(R"(,"tcp":{"ignored_segments":2,"duplicates":3})"));
	ASSERT_TRUE(now && *now) << now.error();
	EXPECT_EQ((*now)->a.ignored, 2U);
	EXPECT_EQ((*now)->a.duplicates, 3U);
	const auto unanalyzed = parser.parse(with(R"(,"tcp":null)"));
	EXPECT_TRUE(unanalyzed && *unanalyzed);
}

TEST(ExplainParser, EarlierVersionsHaveOneVlan)
{
	RecordParser parser;
	const auto vlans = [&](const std::string &members) {
		std::string line = with("");
		line.replace(line.find("\"vlan\":null"), 11, members);
		const auto flow = parser.parse(line);
		EXPECT_TRUE(flow && *flow) << flow.error();
		return (*flow)->vlans;
	};
	EXPECT_THAT(vlans(R"("vlan":null)"), ElementsAre());
	EXPECT_THAT(vlans(R"("vlan":10)"), ElementsAre(10));
	EXPECT_THAT(vlans(R"("vlan":10,"vlans":[10])"), ElementsAre(10));
	EXPECT_THAT(vlans(R"("vlan":null,"vlans":[10,20])"), ElementsAre(10, 20));
	EXPECT_THAT(vlans(R"("vlan":null,"vlans":["x",20])"), ElementsAre(20));
}

TEST(ExplainParser, TextHasNoControlCharacters)
{
	RecordParser parser;
	std::string line = with("");
	line.replace(line.find("10.0.0.1"), 8, R"(\u001b]0;x\u0007\u009b)");
	line.replace(line.find("\"in_iface\":null"), 15, R"("in_iface":"\n\u007f")");
	const auto flow = parser.parse(line);
	ASSERT_TRUE(flow && *flow) << flow.error();
	EXPECT_EQ((*flow)->a.ip, "?]0;x???");
	EXPECT_EQ((*flow)->interface, "??");
}

TEST(ExplainParser, AnyMemberMayHaveAnyType)
{
	RecordParser parser;
	const nlohmann::json good = nlohmann::json::parse(
		with(R"(,"stall":{"episodes":1,"total":1.5,"longest":1,"open":true,"last_ended":null,"probes":1,
			"probe_answers":1,"last_began_ns":1},"tcp":{"ignored_segments":1,"duplicates":1})"));
	const nlohmann::json wrong[] = {nullptr, true, -1, UINT64_MAX, 1e308, "", {"x"}, {{"x", 1}}};
	const nlohmann::json flat = good.flatten();
	for (const auto &[pointer, value] : flat.items())
		for (auto at = nlohmann::json::json_pointer(pointer); !at.empty(); at = at.parent_pointer())
			for (const nlohmann::json &other : wrong) {
				nlohmann::json bad = good;
				bad[at] = other;
				const auto flow = parser.parse(bad.dump());
				EXPECT_TRUE(flow || !flow.error().empty()) << bad.dump();
			}
}

TEST(ExplainParser, OtherEventsAreIgnored)
{
	RecordParser parser;
	const auto flow = parser.parse(R"({"schema":1,"event":"packet"})");
	ASSERT_TRUE(flow);
	EXPECT_FALSE(*flow);
}

TEST(Explain, SaysWhatAFloodLeft)
{
	Connections connections;
	ParsedFlow evicted = flow(1, 0, 0s, 1s);
	evicted.end_reason = "evicted";
	connections.add(std::move(evicted));
	connections.add(ParsedFlood{.flows = 1000,
				    .unrecorded_flows = 20,
				    .receivers = {{"192.0.2.7", 80, 900, 0}, {"2001:db8::1", 443, 100, 0}}});
	connections.add(ParsedFlood{.flows = 0, .unrecorded_flows = 0, .receivers = {{"2001:db8::1", 443, 0, 1500}}});
	const std::string text = format_summary(connections, 10);
	EXPECT_THAT(text,
		    HasSubstr("1021 flows ended early and unanswered, because the flow table filled; most of them, "
			      "900, to 192.0.2.7:80.\n"));
	EXPECT_THAT(text,
		    HasSubstr("SYN flood: up to 1500 connections per second to [2001:db8::1]:443 ended unanswered.\n"));
}

TEST(ExplainParser, ErrorsDescribeTheMistakeInALine)
{
	RecordParser parser;
	const std::pair<std::string, const char *> lines[] = {
		{"", "not JSON"},
		{"{\"schema\":1,", "not JSON"},
		{"[]", "not a JSON object"},
		{"{}", "schema or event"},
		{R"({"schema":2,"event":"flow"})", "schema 2"},
		{R"({"schema":1,"event":"flow"})", "flow_id"},
		{with(R"(,"stall":{})"), "episodes"},
		{with(R"(,"stall":{"episodes":-1,"total":1,"longest":1,"open":true})"), "episodes"},
		{with(R"(,"stall":{"episodes":1,"total":-1,"longest":1,"open":true})"), "total"},
		{with(R"(,"stall":{"episodes":1,"total":1e300,"longest":1,"open":true})"), "total"},
		{with(R"(,"stall":[])"), "stall"},
		{with(R"(,"tcp":7)"), "tcp"},
		{R"({"schema":1,"event":"flow","flow_id":1,"end_reason":"","start_ns":1,"end_ns":1,"a":{"ip":"","port":65536}})",
		 "port"},
		{R"({"schema":1,"event":"flow","flow_id":1,"end_reason":"","start_ns":-1,"end_ns":1})", "start_ns"},
	};
	for (const auto &[line, words] : lines) {
		const auto flow = parser.parse(line);
		ASSERT_FALSE(flow) << line;
		EXPECT_THAT(flow.error(), HasSubstr(words)) << line;
	}
}
