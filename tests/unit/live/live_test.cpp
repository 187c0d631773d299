// SPDX-License-Identifier: Apache-2.0
// How flows and top show the flow table: order, filter, peers, text and keys. No kernel, no terminal.
#include <arpa/inet.h>
#include <gmock/gmock.h>

#include "record/analysis.hpp"
#include "base/printable.hpp"
#include "live/columns.hpp"
#include "live/flow.hpp"
#include "live/selection.hpp"
#include "live/view.hpp"

using namespace tcpwin;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

namespace {

constexpr std::uint64_t second = 1'000'000'000, now = 100 * second;

void set_address(tcpwin_address &address, const std::string &text)
{
	if (text.find(':') != std::string::npos) {
		inet_pton(AF_INET6, text.c_str(), address.byte);
		return;
	}
	address.byte[10] = address.byte[11] = 0xff;
	inet_pton(AF_INET, text.c_str(), address.byte + 12);
}

// A client (A) of higher address, and a server; both sent a packet, from 90 s to 95 s.
tcpwin_record record_of(std::uint64_t id, const std::string &client = "10.0.0.9",
			const std::string &server = "10.0.0.1")
{
	tcpwin_record record{};
	set_address(record.key.address[0], server);
	set_address(record.key.address[1], client);
	record.key.port[0] = 443;
	record.key.port[1] = static_cast<std::uint16_t>(50'000 + id);
	record.flow.id = id;
	record.flow.ifindex = 2;
	record.flow.a_side = 1;
	record.flow.analyzed = 1;
	for (tcpwin_direction &direction : record.flow.direction) {
		direction.first_ns = 90 * second;
		direction.last_ns = 95 * second;
		direction.packets = 1;
		direction.bytes = 100;
		direction.state = TCPWIN_STATE_EST;
	}
	record.now_ns = now;
	record.reason = not_ended;
	return record;
}

// The server stalled for some seconds in the past, or (open) is still stalled.
tcpwin_record stalled(std::uint64_t id, std::uint64_t seconds, bool open, const std::string &server = "10.0.0.1",
		      const std::string &client = "10.0.0.9")
{
	tcpwin_record record = record_of(id, client, server);
	tcpwin_analysis &stats = record.flow.analysis[0];
	stats.episodes = 1;
	stats.zero_windows = 3;
	if (open) {
		record.flow.progress[0].flags |= TCPWIN_STALLED;
		stats.stalled_since_ns = now - seconds * second;
	} else {
		stats.stalled_ns = stats.longest_ns = seconds * second;
	}
	return record;
}

LiveFlow live(const tcpwin_record &record, std::uint32_t table = 1)
{
	return make_live_flow(record, table);
}

std::vector<std::uint64_t> ids(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter = {},
			       std::size_t limit = 100)
{
	std::vector<std::uint64_t> all;
	for (std::uint32_t place : select_flows(flows, sort, filter, limit).best)
		all.push_back(flows[place].id);
	return all;
}

std::vector<std::string> text(const std::vector<LiveFlow> &flows, std::size_t width)
{
	Columns columns =
		Columns::of_flows(Numbers::brief, {{2, "eth0"}}, [](const LiveFlow &) { return "B:nginx[812]"; });
	for (const LiveFlow &flow : flows)
		columns.add(flow);
	return columns.lines(width);
}

Snapshot snapshot_of(std::vector<LiveFlow> flows)
{
	Snapshot snapshot;
	snapshot.totals = count_flows(flows);
	snapshot.flows = std::move(flows);
	snapshot.interfaces = {"eth0"};
	snapshot.names = {{2, "eth0"}};
	return snapshot;
}

std::vector<std::string> draw(View &view, const Snapshot &snapshot, ScreenSize size = {24, 80})
{
	std::vector<std::string> all;
	for (ScreenLine &line : view.draw(snapshot, size))
		all.push_back(std::move(line.text));
	return all;
}

View view_by(SortKey sort = SortKey::stalled)
{
	return {sort, "", false};
}

void type(View &view, std::string_view keys)
{
	for (char key : keys)
		EXPECT_TRUE(view.press(key));
}

} // namespace

// ---- a flow ----

TEST(LiveFlow, AnOpenStallCountsUpToNow)
{
	const LiveFlow flow = live(stalled(1, 20, true));
	EXPECT_EQ(amount(flow.amounts, SortKey::stalled), 20 * second) << "the last packet was 5 s ago";
	EXPECT_FALSE(flow.side[0].closed) << "A is the client";
	EXPECT_TRUE(flow.side[1].closed);
	EXPECT_EQ(flow.side[1].longest_ns, 20 * second);
}

TEST(LiveFlow, AStallOfAnEndedFlowCountsUpToTheLastPacket)
{
	tcpwin_record record = stalled(1, 20, true);
	record.reason = TCPWIN_END_SHUTDOWN;
	EXPECT_EQ(make_analysis(record, 0, {})->stall.total, std::chrono::seconds(15));
}

TEST(LiveFlow, SumsBothSides)
{
	tcpwin_record record = record_of(1);
	record.flow.direction[1].packets = 4;
	record.flow.direction[1].bytes = 1000;
	record.flow.analysis[0].retransmitted = 2;
	record.flow.analysis[1].retransmitted = 3;
	const LiveFlow flow = live(record);
	EXPECT_EQ(amount(flow.amounts, SortKey::packets), 5U);
	EXPECT_EQ(amount(flow.amounts, SortKey::bytes), 1100U);
	EXPECT_EQ(amount(flow.amounts, SortKey::retransmitted), 5U);
	EXPECT_EQ(amount(flow.amounts, SortKey::duration), 5 * second);
	EXPECT_EQ(amount(flow.amounts, SortKey::idle), 5 * second);
}

TEST(LiveFlow, APacketAfterTheReadingMeansNoIdleTime)
{
	tcpwin_record record = record_of(1);
	record.flow.direction[0].last_ns = now + 7;
	EXPECT_EQ(amount(live(record).amounts, SortKey::idle), 0U);
}

TEST(LiveFlow, WithoutAnalysisPacketsBelowTheThresholdAreCounted)
{
	tcpwin_record record = record_of(1);
	record.flow.analyzed = 0;
	record.flow.direction[0].zero_window_count = 4;
	const LiveFlow flow = live(record);
	EXPECT_EQ(amount(flow.amounts, SortKey::zero_windows), 4U);
	EXPECT_FALSE(flow.stalled());
	EXPECT_THAT(text({flow}, 200)[1], HasSubstr(" ? "));
}

TEST(LiveFlow, TheOnlySenderIsA)
{
	tcpwin_record record = record_of(1);
	record.flow.direction[1] = {};
	const LiveFlow flow = live(record);
	EXPECT_EQ(endpoint_text(flow, 0), "10.0.0.1:443");
	EXPECT_EQ(endpoint_text(flow, 1), "10.0.0.9:50001");
	EXPECT_THAT(text({flow}, 200)[1], HasSubstr(" EST/- "));
	EXPECT_EQ(amount(flow.amounts, SortKey::duration), 5 * second);
}

TEST(LiveFlow, Ipv6IsInBrackets)
{
	EXPECT_EQ(endpoint_text(live(record_of(1, "2001:db8::1", "2001:db8::2")), 0), "[2001:db8::1]:50001");
}

// ---- which, and in what order ----

TEST(Selection, TheLargestComesFirstAndOfEqualOnesTheOlder)
{
	const std::vector flows{live(record_of(1)), live(stalled(2, 3, false)), live(stalled(3, 9, true)),
				live(record_of(4))};
	EXPECT_THAT(ids(flows, SortKey::stalled), ElementsAre(3, 2, 1, 4));
	EXPECT_THAT(ids(flows, SortKey::zero_windows), ElementsAre(2, 3, 1, 4));
	EXPECT_THAT(ids(flows, SortKey::bytes), ElementsAre(1, 2, 3, 4));
}

TEST(Selection, EveryKeySortsByItsAmount)
{
	for (std::size_t key = 0; key < sort_names.size(); key++) {
		std::vector flows{live(record_of(1)), live(record_of(2)), live(record_of(3))};
		flows[1].amounts[key] = 1'000 * second;
		EXPECT_EQ(ids(flows, static_cast<SortKey>(key)).front(), 2U) << sort_names[key];
	}
}

TEST(Selection, HasALimit)
{
	const std::vector flows{live(record_of(1)), live(stalled(2, 3, false)), live(stalled(3, 9, true))};
	const Selected selected = select_flows(flows, SortKey::stalled, {}, 2);
	EXPECT_THAT(selected.best, ElementsAre(2, 1));
	EXPECT_EQ(selected.matching, 3U);
	EXPECT_THAT(select_flows(flows, SortKey::stalled, {}, 0).best, IsEmpty());
	EXPECT_THAT(select_flows({}, SortKey::stalled, {}, 5).best, IsEmpty());
}

TEST(Selection, AFilterIsAPartOfEitherEndpoint)
{
	const std::vector flows{live(record_of(1, "10.0.0.9")), live(record_of(2, "10.0.1.9")),
				live(record_of(3, "2001:db8::1", "2001:db8::2"))};
	EXPECT_THAT(ids(flows, SortKey::bytes, "10.0.1."), ElementsAre(2));
	EXPECT_THAT(ids(flows, SortKey::bytes, ":50001"), ElementsAre(1));
	EXPECT_THAT(ids(flows, SortKey::bytes, ":443"), ElementsAre(1, 2, 3));
	EXPECT_THAT(ids(flows, SortKey::bytes, "]:5"), ElementsAre(3));
	EXPECT_THAT(ids(flows, SortKey::bytes, "nowhere"), IsEmpty());
}

TEST(Selection, PeersAreAddressesThatClosedTheirWindow)
{
	const std::vector flows{live(stalled(1, 2, false)), live(stalled(2, 5, true)), live(record_of(3)),
				live(stalled(4, 6, false, "10.0.0.2"))};
	const SelectedPeers peers = select_peers(flows, SortKey::stalled, {}, 10);
	ASSERT_THAT(peers.best, SizeIs(2));
	EXPECT_EQ(peers.matching, 2U);
	const Peer &worst = peers.best[0];
	EXPECT_EQ(worst.address.byte[15], 1);
	EXPECT_EQ(worst.flows, 2U) << "not the one in which it read all the time";
	EXPECT_EQ(worst.closed, 1U);
	EXPECT_EQ(worst.longest_ns, 5 * second);
	EXPECT_EQ(amount(worst.amounts, SortKey::stalled), 7 * second);
	EXPECT_EQ(amount(worst.amounts, SortKey::zero_windows), 6U);
	EXPECT_EQ(amount(worst.amounts, SortKey::bytes), 400U);
	EXPECT_EQ(amount(worst.amounts, SortKey::duration), 5 * second);
	EXPECT_EQ(peers.best[1].address.byte[15], 2);
}

TEST(Selection, PeersOfFlowsThatMatch)
{
	const std::vector flows{live(stalled(1, 2, false)), live(stalled(4, 6, false, "10.0.0.2"))};
	const SelectedPeers peers = select_peers(flows, SortKey::stalled, "10.0.0.1:", 10);
	ASSERT_THAT(peers.best, SizeIs(1));
	EXPECT_EQ(peers.best[0].address.byte[15], 1);
	EXPECT_THAT(select_peers(flows, SortKey::stalled, {}, 1).best, SizeIs(1));
}

TEST(Rates, AreOfTheTimeBetweenTwoLooks)
{
	Rates rates;
	tcpwin_record record = stalled(1, 2, true);
	EXPECT_FALSE(rates.update({live(record)}, 1000, now));
	record.flow.analysis[0].zero_windows += 4;
	const auto rate = rates.update({live(record), live(stalled(2, 1, true))}, 1500, now + 2 * second);
	ASSERT_TRUE(rate);
	EXPECT_DOUBLE_EQ(rate->packets, 250);
	EXPECT_DOUBLE_EQ(rate->zero_windows, 3.5) << "4 more, and 3 of a new flow";
	EXPECT_DOUBLE_EQ(rates.update({}, 1500, now + 3 * second)->zero_windows, 0);
	EXPECT_FALSE(rates.update({}, 7, now + 4 * second)) << "other counters";
}

TEST(Rates, FlowsOfTwoTablesHaveTheSameNumbers)
{
	Rates rates;
	rates.update({live(stalled(1, 2, true), 1)}, 0, now);
	EXPECT_DOUBLE_EQ(rates.update({live(stalled(1, 2, true), 1), live(stalled(1, 2, true), 2)}, 0, now + second)
				 ->zero_windows,
			 3);
}

// ---- text ----

TEST(Columns, BriefCounts)
{
	EXPECT_EQ(brief_count(0), "0");
	EXPECT_EQ(brief_count(999), "999");
	EXPECT_EQ(brief_count(1000), "1.0k");
	EXPECT_EQ(brief_count(99'949), "99.9k");
	EXPECT_EQ(brief_count(99'950), "100k");
	EXPECT_EQ(brief_count(999'499), "999k");
	EXPECT_EQ(brief_count(999'500), "1.0M");
	EXPECT_EQ(brief_count(UINT64_MAX), "18.4E");
}

TEST(Columns, BriefTimes)
{
	EXPECT_EQ(brief_time(0), "-");
	EXPECT_EQ(brief_time(999), "<1us");
	EXPECT_EQ(brief_time(999'999), "999us");
	EXPECT_EQ(brief_time(35'000'000), "35ms");
	EXPECT_EQ(brief_time(1'250'000'000), "1.2s");
	EXPECT_EQ(brief_time(725 * second), "12m05s");
	EXPECT_EQ(brief_time(11'520 * second), "3h12m");
	EXPECT_EQ(brief_time(442'800 * second), "5d03h");
}

TEST(Columns, AreAlignedUnderTheirHeadings)
{
	const auto lines = text({live(stalled(1, 20, true)), live(record_of(2, "10.0.0.123"))}, 200);
	ASSERT_THAT(lines, SizeIs(3));
	EXPECT_EQ(
		lines[0],
		"A                B            STATE   CLOSED STALLED LONGEST LIMIT ZEROWIN PACKETS BYTES RETRANS IDLE DURATION IFACE PROGRAM     ");
	EXPECT_EQ(
		lines[1],
		"10.0.0.9:50001   10.0.0.1:443 EST/EST B        20.0s   20.0s -           3       2   200       0 5.0s     5.0s eth0  B:nginx[812]");
	EXPECT_EQ(
		lines[2],
		"10.0.0.123:50002 10.0.0.1:443 EST/EST -            -       - -           0       2   200       0 5.0s     5.0s eth0  B:nginx[812]");
}

TEST(Columns, TheLeastImportantAreLeftOut)
{
	const std::string widest = "255.255.255.255";
	const auto lines = text({live(stalled(10'000, 20, true, "255.255.255.254", widest))}, 80);
	EXPECT_EQ(lines[0], "A                     B                   CLOSED STALLED ZEROWIN BYTES IDLE");
	for (const char *heading : {"A ", " B ", " CLOSED", " STALLED"})
		EXPECT_THAT(text({live(record_of(1))}, 50)[0], HasSubstr(heading));
}

TEST(Columns, LongAddressesAreCutInTheMiddle)
{
	const auto lines = text({live(record_of(1, "2001:db8:1111:2222:3333:4444:5555:6666",
						"2001:db8:1111:2222:3333:4444:5555:7777"))},
				80);
	EXPECT_THAT(lines[0], HasSubstr("STALLED ZEROWIN BYTES"));
	EXPECT_THAT(lines[1], HasSubstr("[2001:db8"));
	EXPECT_THAT(lines[1], HasSubstr("6666]:50001 "));
	EXPECT_THAT(lines[1], HasSubstr("7777]:443 "));
	EXPECT_LE(lines[1].size(), 80U);
}

TEST(Columns, FitAnyWidth)
{
	const std::vector flows{live(stalled(1, 20, true)),
				live(record_of(2, "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8::1"))};
	for (std::size_t width = 0; width < 200; width++)
		for (const std::string &line : text(flows, width))
			EXPECT_LE(line.size(), width);
}

TEST(Columns, UnprintableBytesAreQuestionMarks)
{
	EXPECT_EQ(printable("e\x1b[31mth\xc3\xa9"), "e?[31mth??");
}

TEST(Sparkline, HasTheHighestBarForTheMost)
{
	const std::vector<std::uint64_t> counts{0, 1, 2, 3, 4, 5, 6, 7};
	EXPECT_EQ(sparkline(counts, 8, true), "▁▂▃▄▅▆▇█");
	EXPECT_EQ(sparkline(counts, 2, false), "*#") << "the last ones";
	EXPECT_EQ(sparkline(std::vector<std::uint64_t>{0, 0}, 10, true), "▁▁");
	EXPECT_EQ(sparkline(std::vector<std::uint64_t>{0, 1, 1'000'000}, 10, false), "_.#");
	EXPECT_EQ(sparkline({}, 10, true), "");
}

// ---- screen and keys ----

TEST(View, ShowsWhatStalls)
{
	View view = view_by();
	Snapshot snapshot = snapshot_of({live(record_of(1)), live(stalled(2, 20, true))});
	snapshot.rates = {1234, 0.25};
	view.note_stalled(0);
	view.note_stalled(1);
	const auto lines = view.draw(snapshot, {24, 80});
	ASSERT_THAT(lines, SizeIs(24));
	EXPECT_EQ(lines[0].text, "eth0: 2 flows, 1 stalled now, 1.2k packets/s, 0.2 zero windows/s");
	EXPECT_EQ(lines[1].text, "stalled, at most 1: _#");
	EXPECT_EQ(lines[2].text, "flows by stalled");
	EXPECT_EQ(lines[3].style, ScreenLine::reverse);
	EXPECT_EQ(lines[3].text.size(), 80U);
	EXPECT_THAT(lines[4].text, StartsWith("10.0.0.9:50002 10.0.0.1:443 "));
	EXPECT_EQ(lines[4].style, ScreenLine::bold) << "stalled now";
	EXPECT_THAT(lines[5].text, StartsWith("10.0.0.9:50001 "));
	EXPECT_EQ(lines[5].style, ScreenLine::plain);
	EXPECT_THAT(lines[23].text, StartsWith("q quit"));
}

TEST(View, QuitsOnQ)
{
	View view = view_by();
	EXPECT_TRUE(view.press('x'));
	EXPECT_FALSE(view.press('q'));
}

TEST(View, SortKeysCycle)
{
	View view = view_by();
	const Snapshot snapshot = snapshot_of({});
	for (std::size_t i = 1; i <= sort_names.size(); i++) {
		view.press('s');
		EXPECT_EQ(draw(view, snapshot)[2], "flows by " + std::string(sort_names[i % sort_names.size()]));
	}
	view.press('<');
	EXPECT_EQ(draw(view, snapshot)[2], "flows by idle");
	view.press('>');
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled");
}

TEST(View, AFilterIsTyped)
{
	View view = view_by();
	const Snapshot snapshot = snapshot_of({live(record_of(1)), live(record_of(2))});
	type(view, "f:5000");
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled, filter: :5000_");
	type(view, "12");
	view.press(key::backspace);
	view.press(key::enter);
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled, filter: :50001");
	EXPECT_THAT(draw(view, snapshot)[4], StartsWith("10.0.0.9:50001 "));
	EXPECT_EQ(draw(view, snapshot)[5], "");
	view.press(key::escape);
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled");
	type(view, "/qs");
	EXPECT_THAT(draw(view, snapshot)[2], HasSubstr("filter: qs_")) << "letters, not keys";
	view.press(key::escape);
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled");
}

TEST(View, PeersAndFlows)
{
	View view = view_by();
	const Snapshot snapshot = snapshot_of({live(stalled(1, 20, true)), live(stalled(2, 1, false))});
	view.press('p');
	const auto lines = draw(view, snapshot);
	EXPECT_EQ(lines[2], "peers by stalled");
	EXPECT_THAT(lines[3], StartsWith("PEER     FLOWS CLOSED STALLED LONGEST ZEROWIN"));
	EXPECT_THAT(lines[4], StartsWith("10.0.0.1     2      1   21.0s   20.0s       6"));
	view.press('\t');
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled");
}

TEST(View, ScrollsAsFarAsThereAreRows)
{
	std::vector<LiveFlow> flows;
	for (std::uint64_t id = 1; id <= 50; id++)
		flows.push_back(live(record_of(id)));
	const Snapshot snapshot = snapshot_of(flows);
	View view = view_by();
	const auto first_row = [&] { return draw(view, snapshot)[4].substr(9, 5); };
	EXPECT_EQ(first_row(), "50001");
	EXPECT_EQ(draw(view, snapshot)[2], "flows by stalled, 1 to 19 of 50");
	view.press(key::down);
	EXPECT_EQ(first_row(), "50002");
	view.press(key::page_down);
	EXPECT_EQ(first_row(), "50021");
	view.press(key::page_down);
	EXPECT_EQ(first_row(), "50032") << "the last page";
	EXPECT_THAT(draw(view, snapshot)[22], StartsWith("10.0.0.9:50050"));
	view.press(key::up);
	EXPECT_EQ(first_row(), "50031");
	view.press(key::home);
	view.press(key::page_up);
	EXPECT_EQ(first_row(), "50001");
	view.press(key::end);
	EXPECT_EQ(first_row(), "50032");
}

TEST(View, PauseIsShown)
{
	View view = view_by();
	view.press(' ');
	EXPECT_TRUE(view.paused());
	EXPECT_EQ(draw(view, snapshot_of({}))[2], "flows by stalled, paused");
	view.press(' ');
	EXPECT_FALSE(view.paused());
}

TEST(View, HelpFitsAndCloses)
{
	View view = view_by();
	view.press('?');
	const auto lines = draw(view, snapshot_of({}));
	EXPECT_LE(lines.size(), 24U);
	EXPECT_THAT(lines, Contains(HasSubstr("CLOSED")));
	view.press('x');
	EXPECT_EQ(draw(view, snapshot_of({}))[2], "flows by stalled");
}

TEST(View, AnErrorIsTheFirstLine)
{
	View view = view_by();
	Snapshot snapshot;
	snapshot.trouble = "cannot show the flows: no agent watches an interface here";
	EXPECT_EQ(draw(view, snapshot)[0], snapshot.trouble);
}

TEST(View, ManyInterfacesAreShownAsANumber)
{
	View view = view_by();
	Snapshot snapshot = snapshot_of({});
	snapshot.interfaces.assign(300, "eth0");
	EXPECT_THAT(draw(view, snapshot)[0], StartsWith("300 interfaces: 0 flows"));
}

TEST(View, FitsAnyScreen)
{
	View view = view_by();
	Snapshot snapshot = snapshot_of({live(stalled(1, 20, true)),
					 live(record_of(2, "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8::1"))});
	for (std::uint64_t i = 0; i < 100; i++)
		view.note_stalled(i);
	for (int key : {0, int('p'), int('?'), int('x'), int('f')}) {
		view.press(key);
		for (std::size_t rows = 0; rows < 30; rows++)
			for (std::size_t columns = 0; columns < 120; columns += 7) {
				const auto lines = draw(view, snapshot, {rows, columns});
				EXPECT_LE(lines.size(), rows);
				for (const std::string &line : lines)
					EXPECT_LE(line.size(), columns);
			}
	}
}
