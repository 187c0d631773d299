// SPDX-License-Identifier: Apache-2.0
// Every capture gives the same flows and packets as Tranalyzer2 (tests/captures/README.md).
// `differences` lists all exceptions: rows that only T2 has, the rows that we
// have instead, and the packets that we reject, by counter.
#include <fstream>
#include <set>

#include <gmock/gmock.h>

#include "record/names.hpp"
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

using ::testing::IsEmpty;
using Rows = std::vector<std::string>;
using Numbers = std::vector<int>;
using Rejects = std::map<std::string, std::uint64_t>;

struct Difference {
	std::string capture;
	Rows t2_flows = {};      // dir first last srcIP srcPort dstIP dstPort vlan stat state count
	Rows our_flows = {};     // the same
	Numbers t2_packets = {}; // numbers of T2's packets that we lack or that differ
	Rows our_packets = {};   // pktNo dir time srcIP srcPort dstIP dstPort vlan stat state win count timeout
	Rejects rejects = {};    // all rejects of the capture
};

const std::vector<Difference> differences{
	// T2 compares times in float32, where these gaps of 0.99999998 s become 1 s.
	{.capture = "semantics/02_edge_ns_float.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000001.999999900 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		      "A 1000000002.999999880 1000000002.999999880 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		      "A 1000000003.999999855 1000000003.999999855 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0"},
	 .our_flows = {"A 1000000000.000000000 1000000003.999999855 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0"}},

	// The same at 182 s: a gap of 181.999999 s ends the flow in T2.
	{.capture = "semantics/40_bounds.pcap",
	 .t2_flows = {"A 1000000005.600000000 1000000005.600000000 10.0.0.1 2 10.0.0.2 443 0 0x04 0x00 0",
		      "A 1000000187.599999000 1000000187.599999000 10.0.0.1 2 10.0.0.2 443 0 0x04 0x00 0"},
	 .our_flows = {"A 1000000005.600000000 1000000187.599999000 10.0.0.1 2 10.0.0.2 443 0 0x04 0x00 0"}},

	// T2 makes flows with port 0 of later IPv4 fragments whose first fragment is unknown.
	{.capture = "semantics/17_v4frag.pcap",
	 .t2_flows = {"A 1000000002.600000000 1000000002.600000000 10.0.0.1 0 10.0.0.2 0 0 0x00 0x00 0"},
	 .t2_packets = {6},
	 .rejects = {{"later_fragment", 1}}},
	{.capture = "semantics/18_v4frag_late_after_removal.pcap",
	 .t2_flows = {"A 1000000002.000000000 1000000002.200000000 10.0.0.1 0 10.0.0.2 0 0 0x00 0x00 0"},
	 .t2_packets = {3, 5},
	 .rejects = {{"later_fragment", 2}}},
	{.capture = "semantics/19_v4frag_headless_then_head.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.300000000 10.0.0.1 0 10.0.0.2 0 0 0x00 0x00 0"},
	 .t2_packets = {1, 4},
	 .rejects = {{"later_fragment", 2}}},

	// T2 does so for every later IPv6 fragment. Here they are counted in their flow and keep it alive.
	{.capture = "semantics/22_v6frag.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.500000000 2001:db8::1 40000 2001:db8::2 443 0 0x98 0x02 1",
		      "A 1000000000.900000000 1000000000.900000000 2001:db8::1 0 2001:db8::2 0 0 0x00 0x00 0",
		      "A 1000000001.600000000 1000000001.700000000 2001:db8::1 40000 2001:db8::2 443 0 0x98 0x02 1"},
	 .our_flows = {"A 1000000000.000000000 1000000001.700000000 2001:db8::1 40000 2001:db8::2 443 0 0xd8 0x04 2"},
	 .t2_packets = {4, 5},
	 .our_packets = {"4 A 1000000001.600000000 2001:db8::1 40000 2001:db8::2 443 0 0x98 0x02 9 1 1.000000",
			 "5 A 1000000001.700000000 2001:db8::1 40000 2001:db8::2 443 0 0xd8 0x04 0 2 0.001000"}},

	// In T2, later fragments refresh the flow without moving it in the list by which T2 ends flows:
	// flows behind it do not end while it lives.
	{.capture = "semantics/21_frag_blocks_others.pcap",
	 .t2_flows = {"A 1000000000.200000000 1000000002.000000000 10.0.0.1 50007 10.0.0.2 443 0 0x10 0x02 0"},
	 .our_flows = {"A 1000000000.200000000 1000000000.200000000 10.0.0.1 50007 10.0.0.2 443 0 0x10 0x02 0",
		       "A 1000000001.300000000 1000000002.000000000 10.0.0.1 50007 10.0.0.2 443 0 0x10 0x02 0"}},
	{.capture = "semantics/31_frag_sentinel_quirk.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000002.600000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		      "B 1000000000.500000000 1000000002.610000000 10.0.0.2 443 10.0.0.1 40000 0 0x10 0x02 0"},
	 .our_flows = {"A 1000000000.000000000 1000000001.400000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		       "A 1000000002.600000000 1000000002.600000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		       "B 1000000000.500000000 1000000000.500000000 10.0.0.2 443 10.0.0.1 40000 0 0x10 0x02 0",
		       "B 1000000002.610000000 1000000002.610000000 10.0.0.2 443 10.0.0.1 40000 0 0x10 0x02 0"},
	 .rejects = {{"not_ip", 3}}},

	// Truncated TCP headers; T2 reads beyond the captured bytes.
	{.capture = "semantics/23_snap.pcap",
	 .t2_packets = {2, 3, 4, 5, 6},
	 .rejects = {{"ip_truncated", 2}, {"tcp_truncated", 4}}},
	{.capture = "semantics/41_v6_snap.pcap",
	 .t2_flows = {"A 1000000000.100000000 1000000000.200000000 2001:db8::1 0 2001:db8::2 0 0 0x10 0x02 0"},
	 .t2_packets = {2, 3},
	 .rejects = {{"tcp_truncated", 2}}},

	// A data offset of 16 bytes (packet 2) and an IP total length of 30 (packet 4).
	{.capture = "semantics/25_malformed.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.200000000 10.0.0.1 40000 10.0.0.2 443 0 0xd0 0x04 2",
		      "A 1000000000.300000000 1000000000.300000000 10.0.0.1 0 10.0.0.2 0 0 0x90 0x02 1",
		      "A 1000000000.400000000 1000000000.500000000 10.0.0.1 40000 10.0.0.2 443 0 0xd0 0x04 2"},
	 .our_flows = {"A 1000000000.000000000 1000000000.400000000 10.0.0.1 40000 10.0.0.2 443 0 0xd0 0x04 2",
		       "A 1000000000.500000000 1000000000.500000000 10.0.0.1 40000 10.0.0.2 443 0 0x90 0x02 1"},
	 .t2_packets = {2, 3, 4, 5, 6},
	 .our_packets = {"3 A 1000000000.200000000 10.0.0.1 40000 10.0.0.2 443 0 0x90 0x02 0 1 1.000000",
			 "5 A 1000000000.400000000 10.0.0.1 40000 10.0.0.2 443 0 0xd0 0x04 0 2 0.001000",
			 "6 A 1000000000.500000000 10.0.0.1 40000 10.0.0.2 443 0 0x90 0x02 0 1 1.000000"},
	 .rejects = {{"ip_header_length", 1}, {"ip_length", 1}, {"tcp_data_offset", 1}}},

	// A first fragment with 8 bytes of TCP, and the next fragment.
	{.capture = "semantics/38_tiny_first_frag.pcap",
	 .t2_flows = {"A 1000000000.100000000 1000000000.200000000 10.0.0.1 0 10.0.0.2 0 0 0x10 0x02 0"},
	 .t2_packets = {2, 3},
	 .rejects = {{"ip_length", 1}, {"later_fragment", 1}}},

	// Tunnels and PPPoE: T2 decapsulates most of them, we decapsulate none.
	{.capture = "semantics/28_tunnels.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.220000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		      "A 1000000000.060000000 1000000000.060000000 10.0.0.1 40000 10.0.0.2 443 33 0x10 0x02 0",
		      "A 1000000000.080000000 1000000000.080000000 10.0.0.1 40000 10.0.0.2 443 44 0x10 0x02 0",
		      "A 1000000000.150000000 1000000000.200000000 2001:db8::1 40000 2001:db8::2 443 0 0x10 0x02 0",
		      "B 1000000000.230000000 1000000000.230000000 10.0.0.2 443 10.0.0.1 40000 0 0x10 0x02 0"},
	 .our_flows = {"A 1000000000.000000000 1000000000.000000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0"},
	 .t2_packets = {2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 21, 23, 24},
	 .rejects = {{"not_ip", 4}, {"not_tcp", 19}}},
	{.capture = "semantics/33_pppoe.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.100000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0",
		      "A 1000000000.200000000 1000000000.200000000 10.0.0.1 40000 10.0.0.2 443 10 0x10 0x02 0"},
	 .our_flows = {"A 1000000000.000000000 1000000000.000000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0"},
	 .t2_packets = {2, 3},
	 .rejects = {{"not_ip", 3}}},
	{.capture = "semantics/39_tunnel_outer_frag.pcap",
	 .t2_flows = {"A 1000000000.000000000 1000000000.000000000 10.0.0.1 40000 10.0.0.2 443 0 0x10 0x02 0"},
	 .t2_packets = {1},
	 .rejects = {{"not_tcp", 2}}},
};

// T2 also numbers flows of UDP, ICMP and other protocols, so the numbers differ in these captures.
const std::set<std::string> numbered_otherwise{
	"ethereum.pcap",
	"http_espn.pcapng",
	"netflix.pcap",
	"semantics/14_arp_clock_udp_index.pcap",
};

const Difference *difference_of(const std::string &capture)
{
	for (const Difference &difference : differences)
		if (difference.capture == capture)
			return &difference;
	return nullptr;
}

struct Setting {
	std::string name;
	std::string suffix; // of T2's results
	std::uint64_t timeout_est;
	std::uint32_t abort_count;
};

const std::vector<Setting> settings{
	{"default", ".flows.tsv", 1'000'000'000, 2},
	{"est4", ".flows_est4.tsv", 4'000'000'000, 2},
	{"ex", ".flows_ex.tsv", 4'000'000'000, 3},
};

tcpwin_config config_of(const Setting &setting)
{
	tcpwin_config config = t2_config();
	config.timeout_ns[TCPWIN_TIMEOUT_EST] = setting.timeout_est;
	config.abort_count = setting.abort_count;
	return config;
}

std::filesystem::path result_of(const std::string &name, const std::string &suffix)
{
	return capture(name).replace_extension().string() + suffix;
}

// T2 prints the whole tag control information of every tag; we print the innermost ID.
std::string vlan_id(const std::string &stack)
{
	if (stack == "-")
		return "0";
	return std::to_string(std::stoul(stack.substr(stack.find_last_of(';') + 1)) & 0xfff);
}

std::string join(const Row &row, const std::vector<std::string> &names)
{
	std::string text;
	for (const std::string &name : names)
		text += (text.empty() ? "" : " ") + (name == "vlan" ? vlan_id(row.at(name)) : row.at(name));
	return text;
}

Rows join(const std::vector<Row> &table, const std::vector<std::string> &names)
{
	Rows rows;
	for (const Row &row : table)
		rows.push_back(join(row, names));
	return rows;
}

std::vector<std::string> flow_columns(const std::string &dir)
{
	return {dir,       "timeFirst", "timeLast",   "srcIP",       "srcPort",    "dstIP",
		"dstPort", "vlan",      "tcpWinStat", "tcpWinState", "tcpWinThCnt"};
}

std::vector<std::string> packet_columns(const std::string &dir)
{
	return {"pktNo", dir,          "time",        "srcIP",  "srcPort",     "dstIP",    "dstPort",
		"vlan",  "tcpWinStat", "tcpWinState", "tcpWin", "tcpWinThCnt", "flowTmout"};
}

std::vector<std::string> with_number(std::vector<std::string> columns)
{
	columns.insert(columns.begin(), "flowInd");
	return columns;
}

std::vector<Row> read_table(const std::filesystem::path &path)
{
	std::ifstream file(path);
	EXPECT_TRUE(file.is_open()) << path;
	return parse_table(file);
}

// T2's rows without `theirs`, with `ours` instead.
Rows replaced(Rows rows, const Rows &theirs, const Rows &ours)
{
	for (const std::string &row : theirs) {
		const auto found = std::find(rows.begin(), rows.end(), row);
		EXPECT_TRUE(found != rows.end()) << "T2 has no such row: " << row;
		if (found != rows.end())
			rows.erase(found);
	}
	rows.insert(rows.end(), ours.begin(), ours.end());
	return rows;
}

Rows of_packets(const Rows &rows, const Numbers &numbers)
{
	Rows found;
	for (const int number : numbers)
		for (const std::string &row : rows)
			if (row.starts_with(std::to_string(number) + " "))
				found.push_back(row);
	EXPECT_EQ(found.size(), numbers.size()) << "T2 lacks some of these packets";
	return found;
}

Rows without(Rows from, Rows rows)
{
	Rows rest;
	std::sort(from.begin(), from.end());
	std::sort(rows.begin(), rows.end());
	std::set_difference(from.begin(), from.end(), rows.begin(), rows.end(), std::back_inserter(rest));
	return rest;
}

void expect_same(const Rows &ours, const Rows &expected)
{
	EXPECT_THAT(without(ours, expected), IsEmpty()) << "rows that only we have";
	EXPECT_THAT(without(expected, ours), IsEmpty()) << "rows that only T2 has";
}

Rejects rejects_of(const tcpwin_counters &counters)
{
	Rejects rejects;
	for (const CounterName &c : reject_names)
		if (counters.value[c.counter])
			rejects[std::string(c.name)] = counters.value[c.counter];
	return rejects;
}

struct Case {
	std::string capture;
	Setting setting;
};

void PrintTo(const Case &c, std::ostream *out)
{
	*out << c.capture << ", " << c.setting.name;
}

std::string name_of_case(const ::testing::TestParamInfo<Case> &info)
{
	std::string name = info.param.capture + "_" + info.param.setting.name;
	std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
	return name;
}

std::vector<Case> all_cases()
{
	std::vector<Case> cases;
	for (const std::string &name : all_captures())
		for (const Setting &setting : settings)
			if (std::filesystem::exists(result_of(name, setting.suffix)))
				cases.push_back({name, setting});
	return cases;
}

std::vector<Case> all_default_cases()
{
	std::vector<Case> cases = all_cases();
	std::erase_if(cases, [](const Case &c) { return c.setting.name != "default"; });
	return cases;
}

class T2Flows : public ::testing::TestWithParam<Case> {};
class T2Packets : public ::testing::TestWithParam<Case> {};
class T2Numbers : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Captures, T2Flows, ::testing::ValuesIn(all_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Captures, T2Packets, ::testing::ValuesIn(all_default_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Captures, T2Numbers, ::testing::ValuesIn(all_default_cases()), name_of_case);

TEST(T2, AllCapturesArePresent)
{
	const auto has_results = [](const std::string &name) { return !name.starts_with("field/"); };
	EXPECT_EQ(std::ranges::count_if(all_captures(), has_results), 41 + 16 + 1);
	EXPECT_EQ(all_default_cases().size(), 41 + 16 + 1) << "each with T2's flows";
	EXPECT_EQ(all_cases().size(), 41 + 3 * (16 + 1)) << "semantics, three settings of real and tutorial";
}

TEST_P(T2Flows, AreTheSame)
{
	const auto &[name, setting] = GetParam();
	const tcpwin_config config = config_of(setting);
	const Outcome outcome = run_portable(frames_of(capture(name)), config);
	Rows expected = join(read_table(result_of(name, setting.suffix)), flow_columns("dir"));
	if (const Difference *difference = difference_of(name))
		expected = replaced(expected, difference->t2_flows, difference->our_flows);

	const Rows ours = join(parse_table(flow_text(outcome.flows, config)), flow_columns("%dir"));
	expect_same(ours, expected);
}

TEST_P(T2Packets, AreTheSame)
{
	const auto &[name, setting] = GetParam();
	const tcpwin_config config = config_of(setting);
	const Outcome outcome = run_portable(frames_of(capture(name)), config);
	Rows expected = join(read_table(result_of(name, ".pkts.tsv")), packet_columns("dirbit"));
	if (const Difference *difference = difference_of(name)) {
		const Rows theirs = of_packets(expected, difference->t2_packets);
		expected = replaced(expected, theirs, difference->our_packets);
		EXPECT_EQ(rejects_of(outcome.counters), difference->rejects);
	}

	const Rows ours = join(parse_table(packet_text(outcome.packets, config)), packet_columns("dir"));
	expect_same(ours, expected);
	EXPECT_EQ(outcome.counters.value[TCPWIN_COUNTER_TRACKED], outcome.packets.size());
	EXPECT_TRUE(std::is_sorted(outcome.packets.begin(), outcome.packets.end(),
				   [](const SeenPacket &l, const SeenPacket &r) { return l.number < r.number; }));
}

// Flow IDs are 1, 2, 3, ... in the order of the first packets, in flow and packet records.
TEST_P(T2Numbers, FollowFirstPacketsWithoutGaps)
{
	const Outcome outcome = run_portable(frames_of(capture(GetParam().capture)), t2_config());
	std::uint64_t flows = 0;
	for (const SeenPacket &packet : outcome.packets)
		if (packet.event.flow_id > flows) {
			EXPECT_EQ(packet.event.flow_id, ++flows) << "packet " << packet.number;
		}
	std::set<std::uint64_t> ended;
	for (const tcpwin_record &flow : outcome.flows)
		EXPECT_TRUE(ended.insert(flow.flow.id).second) << "two records of flow " << flow.flow.id;

	EXPECT_EQ(outcome.flows.size(), flows);
	EXPECT_EQ(outcome.counters.value[TCPWIN_COUNTER_FLOWS_CREATED], flows);
	EXPECT_EQ(ended.empty() ? 0 : *ended.rbegin(), flows);
}

TEST_P(T2Numbers, EqualT2sInCapturesOfTcpOnly)
{
	const std::string &name = GetParam().capture;
	if (difference_of(name) || numbered_otherwise.contains(name))
		return; // not comparable
	const Outcome outcome = run_portable(frames_of(capture(name)), t2_config());
	const Rows flows = join(parse_table(flow_text(outcome.flows, t2_config())), with_number(flow_columns("%dir")));
	const Rows packets =
		join(parse_table(packet_text(outcome.packets, t2_config())), with_number(packet_columns("dir")));

	expect_same(flows, join(read_table(result_of(name, ".flows.tsv")), with_number(flow_columns("dir"))));
	expect_same(packets, join(read_table(result_of(name, ".pkts.tsv")), with_number(packet_columns("dirbit"))));
}

TEST(T2, EveryDifferenceNamesAnExistingCapture)
{
	const std::vector<std::string> names = all_captures();
	std::set<std::string> named;
	for (const Difference &difference : differences) {
		EXPECT_THAT(names, ::testing::Contains(difference.capture));
		EXPECT_TRUE(named.insert(difference.capture).second) << difference.capture << " twice";
		EXPECT_FALSE(difference.t2_flows.empty() && difference.t2_packets.empty()) << difference.capture;
	}
	for (const std::string &name : numbered_otherwise)
		EXPECT_THAT(names, ::testing::Contains(name));
}

} // namespace
} // namespace tcpwin::test
