// SPDX-License-Identifier: Apache-2.0
// From a kernel record to the text that a user reads.
#include <cstring>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "record/record.hpp"
#include "record/report.hpp"
#include "sinks/format.hpp"
#include "support/emitted.hpp"

using namespace tcpwin;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace {

const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
constexpr std::chrono::nanoseconds offset{1'000'000'000'000'000'000};

void set_ipv4(tcpwin_address &address, const char *text)
{
	address.byte[10] = address.byte[11] = 0xff;
	inet_pton(AF_INET, text, address.byte + 12);
}

// 10.0.0.1:443 (endpoint 0) and 10.0.0.2:50000 (endpoint 1), which is A and was aborted.
tcpwin_record aborted()
{
	tcpwin_record record{};
	set_ipv4(record.key.address[0], "10.0.0.1");
	set_ipv4(record.key.address[1], "10.0.0.2");
	record.key.port[0] = 443;
	record.key.port[1] = 50000;
	record.flow.id = 7;
	record.flow.ifindex = 3;
	record.flow.a_side = 1;
	record.flow.hooks = TCPWIN_HOOK_XDP | TCPWIN_HOOK_TC_EGRESS;
	record.reason = TCPWIN_END_ABORT_TIMEOUT;
	record.flow.direction[1] = {.first_ns = 5'000'000'001,
				    .last_ns = 6'250'000'000,
				    .packets = 4,
				    .bytes = 200,
				    .zero_window_count = 2,
				    .window_min = 0,
				    .window_max = 1000,
				    .window_last = 0,
				    .tcp_flags = TCPWIN_FLAG_SYN | TCPWIN_FLAG_ACK | TCPWIN_FLAG_ECE,
				    .stat = 0xd2,
				    .state = TCPWIN_STATE_ABRT,
				    .timeout = TCPWIN_TIMEOUT_ABRT,
				    .window_scale = TCPWIN_NO_WINDOW_SCALE,
				    .alarms = TCPWIN_ALARM_ABORT_COUNT};
	record.flow.direction[0] = {.first_ns = 5'500'000'000,
				    .last_ns = 7'000'000'000,
				    .packets = 3,
				    .bytes = 4500,
				    .zero_window_count = 0,
				    .window_min = 500,
				    .window_max = 600,
				    .window_last = 600,
				    .tcp_flags = TCPWIN_FLAG_ACK,
				    .stat = 0x10,
				    .state = TCPWIN_STATE_ABRT,
				    .timeout = TCPWIN_TIMEOUT_ABRT,
				    .window_scale = TCPWIN_NO_WINDOW_SCALE,
				    .alarms = 0};
	return record;
}

std::string write(const FlowFormat &format, const tcpwin_record &record, std::string_view interface = "eth0")
{
	fmt::memory_buffer out;
	format.flow(make_flow_record(record, config, offset, interface), out);
	test::keep_emitted({out.data(), out.size()});
	return fmt::to_string(out);
}

} // namespace

TEST(Json, HasEveryField)
{
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), aborted()));
	EXPECT_EQ(flow, nlohmann::json::parse(R"({
		"schema": 1, "event": "flow", "flow_id": 7, "continues": null, "community_id": "1:w9iuTaiuttyYUFKthLzeDYFDHRk=", "in_iface": "eth0",
		"hooks": ["xdp", "tc_egress"], "vlan": null, "vlans": [], "ip_version": 4,
		"start": "2001-09-09T01:46:45.000000001Z", "end": "2001-09-09T01:46:47.000000000Z",
		"start_ns": 1000000005000000001, "end_ns": 1000000007000000000, "duration": 1.999999999,
		"end_reason": "abort_timeout", "interim": false,
		"a": {"ip": "10.0.0.2", "port": 50000, "first_ns": 1000000005000000001, "last_ns": 1000000006250000000,
		      "packets": 4, "bytes": 200, "tcp_flags": ["SYN", "ACK", "ECE"], "stat": "0xd2",
		      "state": "ABRT", "state_code": 4, "zero_window_count": 2, "window_min": 0,
		      "window_max": 1000, "window_last": 0, "timeout": 0.001, "alarms": ["abort_count"], "stall": null, "window": null, "limits": null, "tcp": null, "local": null},
		"b": {"ip": "10.0.0.1", "port": 443, "first_ns": 1000000005500000000, "last_ns": 1000000007000000000,
		      "packets": 3, "bytes": 4500, "tcp_flags": ["ACK"], "stat": "0x10",
		      "state": "ABRT", "state_code": 4, "zero_window_count": 0, "window_min": 500,
		      "window_max": 600, "window_last": 600, "timeout": 0.001, "alarms": [], "stall": null, "window": null, "limits": null, "tcp": null, "local": null}})"));
}

TEST(Json, HasTheAnalysisOfEachSide)
{
	tcpwin_record record = aborted();
	record.reason = TCPWIN_END_IDLE_TIMEOUT;
	record.flow.analyzed = 1;
	record.flow.continues_back = 4;
	record.flow.progress[1] = {.next = 9,
				   .ack = 8,
				   .window = 5,
				   .flags = TCPWIN_KNOWN_ALL | TCPWIN_STALLED,
				   .duplicate_acks = 1,
				   .shift = 7,
				   .doubted = 0,
				   .payload_bytes = 5'000'000'000,
				   .next_ns = 1,
				   .in_flight_max = 11,
				   .window_min = 0,
				   .window_max = 500,
				   .recent = {}};
	record.flow.analysis[1] = {.stalled_since_ns = 6'500'000'000,
				   .stalled_ns = 250'000'001,
				   .longest_ns = 250'000'000,
				   .handshake_rtt_ns = 1'000,
				   .zero_windows = 12,
				   .episodes = 13,
				   .probes = 14,
				   .probe_answers = 15,
				   .window_updates = 16,
				   .window_shrinks = 17,
				   .window_full = 18,
				   .keep_alives = 19,
				   .retransmitted = 20,
				   .out_of_order = 21,
				   .ignored = 22,
				   .duplicates = 23,
				   .doubt = 0,
				   .vlans = {},
				   .scale = 8,
				   .doubt_scale = 0,
				   .ended = TCPWIN_STALL_END_RESUMED,
				   .flags = TCPWIN_ANALYSIS_RTT};
	record.flow.analysis[0].scale = 1;
	record.flow.progress[0].window_min = 0xffff;
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), record));
	EXPECT_EQ(flow["continues"], 3);
	EXPECT_EQ(flow["a"]["stall"], nlohmann::json::parse(R"({"zero_window_segments": 12, "episodes": 13,
		"total": 0.750000001, "longest": 0.5, "open": true, "last_began_ns": 1000000006500000000,
		"last_ended": "timeout", "probes": 14, "probe_answers": 15})"));
	EXPECT_EQ(flow["a"]["window"], nlohmann::json::parse(R"({"scale": 7, "min": 0, "max": 64000, "last": 640,
		"shrinks": 17, "updates": 16, "full": 18})"));
	EXPECT_EQ(flow["a"]["tcp"], nlohmann::json::parse(R"({"payload_bytes": 5000000000, "retransmitted_segments": 20,
		"out_of_order_segments": 21, "ignored_segments": 22, "duplicates": 23, "keep_alives": 19, "bytes_in_flight_max": 11, "handshake_rtt": 0.000001})"));
	EXPECT_EQ(flow["b"]["stall"]["last_ended"], nullptr);
	EXPECT_EQ(flow["b"]["stall"]["last_began_ns"], nullptr);
	EXPECT_EQ(flow["b"]["window"], nlohmann::json::parse(R"({"scale": 0, "min": null, "max": null, "last": null,
		"shrinks": 0, "updates": 0, "full": 0})"));
	EXPECT_EQ(flow["b"]["tcp"]["handshake_rtt"], nullptr);
}

TEST(Json, DistinguishesUnscaledFromUnknownWindows)
{
	tcpwin_record record = aborted();
	record.flow.analyzed = 1;
	record.flow.analysis[1].scale = 8;
	EXPECT_EQ(nlohmann::json::parse(write(*make_flow_format(Format::json), record))["a"]["window"]["scale"],
		  nullptr);
	record.flow.analysis[0].scale = TCPWIN_SCALE_NONE;
	EXPECT_EQ(nlohmann::json::parse(write(*make_flow_format(Format::json), record))["a"]["window"]["scale"],
		  "none");
}

TEST(Json, IsOneLine)
{
	const std::string text = write(*make_flow_format(Format::json), aborted());
	EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(Json, BIsNullIfNeverSeen)
{
	tcpwin_record record = aborted();
	record.flow.direction[0] = {};
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), record));
	EXPECT_TRUE(flow["b"].is_null());
	EXPECT_EQ(flow["a"]["ip"], "10.0.0.2");
}

TEST(Json, TheOnlyDirectionIsA)
{
	tcpwin_record record = aborted();
	record.flow.a_side = 0;
	record.flow.direction[0] = {};
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), record));
	EXPECT_EQ(flow["a"]["ip"], "10.0.0.2");
	EXPECT_TRUE(flow["b"].is_null());
}

TEST(Json, Ipv6AndVlan)
{
	tcpwin_record record = aborted();
	record.key.vlan = 42;
	inet_pton(AF_INET6, "2001:db8::1", record.key.address[0].byte);
	inet_pton(AF_INET6, "2001:db8::2", record.key.address[1].byte);
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), record));
	EXPECT_EQ(flow["ip_version"], 6);
	EXPECT_EQ(flow["vlan"], 42);
	EXPECT_EQ(flow["vlans"], nlohmann::json({42}));
	EXPECT_EQ(flow["a"]["ip"], "2001:db8::2");
}

TEST(Json, VlansAreThoseOfBothDirectionsAscendingAndEachOnce)
{
	const auto vlans = [](std::array<__u16, 2> one, std::array<__u16, 2> other) {
		tcpwin_record record = aborted(); // without stall analysis
		std::ranges::copy(one, record.flow.analysis[0].vlans);
		std::ranges::copy(other, record.flow.analysis[1].vlans);
		const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), record));
		EXPECT_EQ(flow["vlan"], nullptr);
		return flow["vlans"].get<std::vector<unsigned>>();
	};
	EXPECT_THAT(vlans({}, {}), ElementsAre());
	EXPECT_THAT(vlans({20}, {10}), ElementsAre(10, 20));
	EXPECT_THAT(vlans({}, {10}), ElementsAre(10));
	EXPECT_THAT(vlans({20, 10}, {10, 20}), ElementsAre(10, 20));
	EXPECT_THAT(vlans({4095, 2}, {3, 1}), ElementsAre(1, 2, 3, 4095));
}

TEST(Json, AnyInterfaceNameIsQuoted)
{
	const auto flow = nlohmann::json::parse(write(*make_flow_format(Format::json), aborted(), "we\"ird\\\xff"));
	EXPECT_THAT(flow["in_iface"].get<std::string>(), testing::StartsWith("we\"ird\\"));
}

TEST(T2, HasTheColumnsOfTranalyzer)
{
	fmt::memory_buffer head;
	make_flow_format(Format::t2)->begin(head);
	EXPECT_EQ(fmt::to_string(head), "%dir\tflowInd\ttimeFirst\ttimeLast\tduration\tvlan\tsrcIP\tsrcPort\tdstIP\t"
					"dstPort\tl4Proto\ttcpWinStat\ttcpWinState\ttcpWinThCnt\n");
	EXPECT_EQ(
		write(*make_flow_format(Format::t2), aborted()),
		"A\t7\t1000000005.000000001\t1000000006.250000000\t1.249999999\t-\t10.0.0.2\t50000\t10.0.0.1\t443\t6\t"
		"0xd2\t0x04\t2\n"
		"B\t7\t1000000005.500000000\t1000000007.000000000\t1.500000000\t-\t10.0.0.1\t443\t10.0.0.2\t50000\t6\t"
		"0x10\t0x04\t0\n");
}

TEST(T2, VlanIsTheInnermostIdAndASingleDirectionIsOneLine)
{
	tcpwin_record record = aborted();
	record.key.vlan = 42;
	record.flow.direction[0] = {};
	const std::string text = write(*make_flow_format(Format::t2), record);
	EXPECT_THAT(text, HasSubstr("\t42\t10.0.0.2\t50000\t10.0.0.1\t443\t"));
	EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

namespace {

// The third packet of endpoint 1, which is A.
tcpwin_packet_event packet_event()
{
	tcpwin_packet_event event{};
	event.key = aborted().key;
	event.flow_id = 7;
	event.first_ns = 5'000'000'000;
	event.previous_ns = 5'999'999'999;
	event.now_ns = 6'250'000'000;
	event.zero_window_count = 2;
	event.window = 0;
	event.from = 1;
	event.a_side = 1;
	event.stat = 0xd2;
	event.state = TCPWIN_STATE_ABRT;
	event.timeout = TCPWIN_TIMEOUT_ABRT;
	event.segments = 3;
	return event;
}

std::string write(Format format, const tcpwin_packet_event &event)
{
	fmt::memory_buffer out;
	make_packet_format(format)->packet(make_packet_record(event, 12, config, offset), out);
	test::keep_emitted({out.data(), out.size()});
	return fmt::to_string(out);
}

} // namespace

TEST(PacketMode, HasTheColumnsOfTranalyzer)
{
	fmt::memory_buffer head;
	make_packet_format(Format::t2)->begin(head);
	EXPECT_EQ(fmt::to_string(head), "pktNo\tflowInd\tdir\ttime\tpktIAT\tflowDuration\tsrcIP\tsrcPort\tdstIP\t"
					"dstPort\tvlan\ttcpWinStat\ttcpWinState\ttcpWin\ttcpWinThCnt\tflowTmout\n");
	EXPECT_EQ(write(Format::t2, packet_event()),
		  "12\t7\tA\t1000000006.250000000\t0.250000001\t1.250000000\t10.0.0.2\t50000\t10.0.0.1\t443\t-\t"
		  "0xd2\t0x04\t0\t2\t0.001000\n");
}

TEST(PacketMode, ALaterFragmentHasNoPortsAndNoWindow)
{
	tcpwin_packet_event event = packet_event();
	event.later_fragment = 1;
	event.from = 0;
	EXPECT_EQ(
		write(Format::t2, event),
		"12\t7\tB\t1000000006.250000000\t0.250000001\t1.250000000\t10.0.0.1\t0\t10.0.0.2\t0\t-\t-\t-\t-\t-\t-\n");
	EXPECT_TRUE(nlohmann::json::parse(write(Format::json, event))["window"].is_null());
}

TEST(PacketMode, JsonHasEveryField)
{
	EXPECT_EQ(nlohmann::json::parse(write(Format::json, packet_event())), nlohmann::json::parse(R"({
		"schema": 1, "event": "packet", "packet": 12, "flow_id": 7, "dir": "A",
		"time": "2001-09-09T01:46:46.250000000Z", "time_ns": 1000000006250000000,
		"iat": 0.250000001, "flow_duration": 1.25, "src_ip": "10.0.0.2", "src_port": 50000,
		"dest_ip": "10.0.0.1", "dest_port": 443, "vlan": null, "segments": 3,
		"later_fragment": false, "stat": "0xd2", "state": "ABRT", "state_code": 4, "window": 0, "zero_window_count": 2,
		"timeout": 0.001})"));
}

TEST(Json, ACaptureHasNoInterface)
{
	EXPECT_TRUE(nlohmann::json::parse(write(*make_flow_format(Format::json), aborted(), ""))["in_iface"].is_null());
}

TEST(Report, SumsTheRecords)
{
	Totals totals;
	totals.add(make_flow_record(aborted(), config, offset, "eth0"));
	tcpwin_counters counters{};
	counters.value[TCPWIN_COUNTER_TRACKED] = 7;
	counters.value[TCPWIN_COUNTER_NOT_IP] = 1;
	counters.peak_flows = 1;
	EXPECT_EQ(format_report(totals, counters, config, 1024),
		  "Aggregated tcpWinStat=0xd2\n"
		  "Aggregated tcpWinState=0x04\n"
		  "Number of TCP packets below window threshold 1: 2 [28.57%]\n"
		  "Packets seen: 8\n"
		  "TCP packets: 7 [87.50%]\n"
		  "Flows: 1\n"
		  "A flows: 1\n"
		  "B flows: 1\n"
		  "Alarms in flows: 1 [100.00%]\n"
		  "Largest number of flows in the table: 1\n"
		  "Rejected not_ip (frames of another protocol than IPv4 or IPv6): 1\n");
}

std::string enough(std::uint32_t max_flows, std::uint64_t packets, std::uint64_t bits)
{
	tcpwin_counters counters{};
	counters.value[TCPWIN_COUNTER_UNTRACKED_FULL] = packets;
	counters.value[TCPWIN_COUNTER_UNTRACKED_FLOWS] = bits;
	const std::string text = format_report({}, counters, config, max_flows), before = "--max-flows ";
	const auto at = text.find(before) + before.size();
	return text.substr(at, text.find(' ', at) - at);
}

TEST(Report, RecommendsATableForTheFlowsNotThePackets)
{
	EXPECT_EQ(enough(1000, 5'000'000, 10), "1024");
	EXPECT_EQ(enough(1000, 5'000'000, 94'400), "131072"); // 99,000 flows set this many bits
	EXPECT_EQ(enough(4, 1, 1), "8");
	EXPECT_EQ(enough(1024, 1'000'000'000, 662'827), "2097152"); // 1 - 1/e of all: as many flows as bits
	EXPECT_EQ(enough(1000, 50'000'000, TCPWIN_UNTRACKED_BITS),
		  "67108864"); // all bits are set: only the number of packets is a bound
	EXPECT_EQ(enough(1000, 50'000'000, 2 * TCPWIN_UNTRACKED_BITS),
		  "67108864"); // of several agents, one after another
	EXPECT_EQ(enough(1 << 31, 1, 1), "2147483648");
}

TEST(Report, NamesLossesAndASufficientTableSize)
{
	tcpwin_counters counters{};
	counters.value[TCPWIN_COUNTER_TRACKED] = 10;
	counters.value[TCPWIN_COUNTER_UNTRACKED_FULL] = 1000;
	counters.value[TCPWIN_COUNTER_UNTRACKED_FLOWS] = 990;
	counters.value[TCPWIN_COUNTER_DEFERRED_CUTS] = 3;
	Totals totals;
	totals.unwritten = 2;
	const std::string text = format_report(totals, counters, config, 1024);
	EXPECT_THAT(text, HasSubstr("TCP packets: 1010 [100.00%]\n"));
	EXPECT_THAT(text, HasSubstr("Lost untracked_full (TCP packets not tracked: flow table full): 1000\n"));
	EXPECT_THAT(text, HasSubstr("--max-flows 2048 would have been enough\n"));
	EXPECT_THAT(text, HasSubstr("ring buffer full): 3\n"));
	EXPECT_THAT(text, HasSubstr("could not be written: 2\n"));
	EXPECT_THAT(text, Not(HasSubstr("Rejected")));
}
