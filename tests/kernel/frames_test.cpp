// SPDX-License-Identifier: Apache-2.0
//
// The parser inside the kernel: every kind of frame, whole and truncated at every
// byte, increments one counter, the one that the parser in user space determines.
#include <set>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "model.hpp"

namespace tcpwin::test {
namespace {

constexpr size_t shortest_frame = 14; // the kernel refuses shorter test runs
constexpr uint8_t syn = TCPWIN_FLAG_SYN;
constexpr uint8_t ack = TCPWIN_FLAG_ACK;

Frame v4(const Ipv4Fields &fields = {})
{
	return Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2", fields);
}

Frame v6(const Ipv6Fields &fields = {})
{
	return Frame().ethernet().ipv6("2001:db8::1", "2001:db8::2", fields);
}

Frame tagged(const std::vector<uint16_t> &tpids)
{
	Frame frame;
	frame.ethernet();
	uint16_t id = 7;
	for (uint16_t tpid : tpids)
		frame.vlan(id++, {.tpid = tpid});
	return frame.ipv4("10.0.0.1", "10.0.0.2").tcp(40000, 80, ack);
}

Frame with_options(const Bytes &options)
{
	return v4().tcp(40000, 80, syn, {.options = options});
}

Frame with_destination_options(int count)
{
	Frame frame = v6();
	for (int i = 0; i < count; i++)
		frame.destination();
	return frame.tcp(40000, 80, ack);
}

struct Case {
	std::string name;
	Bytes frame;
	tcpwin_counter counter;
};

Case accepted(const std::string &name, const Frame &frame)
{
	return {name, frame.bytes(), TCPWIN_COUNTER_TRACKED};
}

Case rejected(const std::string &name, const Frame &frame, tcpwin_reject reject)
{
	return {name, frame.bytes(), counter_of(reject)};
}

const std::vector<Case> ethernet_cases = {
	accepted("one_tag", tagged({0x8100})),
	accepted("priority_tag", Frame().ethernet().vlan(0).ipv4("10.0.0.1", "10.0.0.2").tcp(40000, 80, ack)),
	accepted("four_kinds_of_tags", tagged({0x8100, 0x88a8, 0x9100, 0x9200})),
	rejected("five_tags", tagged({0x88a8, 0x8100, 0x8100, 0x8100, 0x8100}), TCPWIN_REJECT_VLAN_DEPTH),
	rejected("tag_cut_off", Frame().ethernet({.type = 0x8100}), TCPWIN_REJECT_ETHERNET_TRUNCATED),
	rejected("arp", Frame().ethernet({.type = 0x0806}).payload(46), TCPWIN_REJECT_NOT_IP),
	rejected("arp_in_vlan", Frame().ethernet().vlan(7, {.type = 0x0806}).payload(46), TCPWIN_REJECT_NOT_IP),
	rejected("unknown_tag", Frame().ethernet().vlan(7, {.tpid = 0x9300}).payload(46), TCPWIN_REJECT_NOT_IP),
};

const std::vector<Case> ipv4_cases = {
	accepted("v4", v4().tcp(40000, 80, ack)),
	accepted("v4_payload", v4().tcp(40000, 80, ack).payload(33)),
	accepted("v4_padded", v4().tcp(40000, 80, ack).pad_to(60)),
	accepted("v4_options", v4({.options = Bytes(40, 1)}).tcp(40000, 80, ack)),
	accepted("v4_first_fragment", v4({.more_fragments = true}).tcp(40000, 80, ack).payload(16)),
	accepted("v4_dont_fragment", v4({.dont_fragment = true}).tcp(40000, 80, ack)),
	accepted("v4_length_0", v4({.total_length = 0}).tcp(40000, 80, ack).payload(9)),
	accepted("v4_length_too_large", v4({.total_length = 1500}).tcp(40000, 80, ack).payload(9)),
	accepted("v4_length_just_enough", v4({.total_length = 40}).tcp(40000, 80, ack).payload(9)),
	accepted("v4_jumbo", v4().tcp(40000, 80, ack).payload(8960)),
	accepted("v4_jumbo_of_length_0", v4({.total_length = 0}).tcp(40000, 80, ack).payload(8960)),
	accepted("land_attack", Frame().ethernet().ipv4("10.0.0.1", "10.0.0.1").tcp(80, 80, syn)),
	rejected("v4_udp", v4().udp(40000, 53), TCPWIN_REJECT_NOT_TCP),
	rejected("v4_icmp", v4({.protocol = 1}).payload(20), TCPWIN_REJECT_NOT_TCP),
	rejected("v4_later_fragment_of_udp", v4({.fragment_offset = 9}).udp(1, 2), TCPWIN_REJECT_NOT_TCP),
	rejected("v4_later_fragment", v4({.id = 7, .fragment_offset = 1}).tcp(40000, 80, ack),
		 TCPWIN_REJECT_LATER_FRAGMENT),
	rejected("v4_last_offset", v4({.id = 7, .fragment_offset = 0x1fff}).tcp(40000, 80, ack),
		 TCPWIN_REJECT_LATER_FRAGMENT),
	rejected("v4_header_cut_off", Frame().ethernet({.type = 0x0800}).payload(19), TCPWIN_REJECT_IP_TRUNCATED),
	rejected("v4_version_6", v4({.version = 6}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_VERSION),
	rejected("v4_version_0", v4({.version = 0}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_VERSION),
	rejected("v4_header_of_16", v4({.ihl = 4}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_HEADER_LENGTH),
	rejected("v4_header_of_0", v4({.ihl = 0}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_HEADER_LENGTH),
	rejected("v4_no_room_for_tcp", v4({.protocol = 6}).payload(19), TCPWIN_REJECT_IP_LENGTH),
	rejected("v4_tcp_cut_off", v4({.total_length = 40, .protocol = 6}).payload(19), TCPWIN_REJECT_TCP_TRUNCATED),
	rejected("v4_tcp_of_length_0_cut_off", v4({.total_length = 0, .protocol = 6}).payload(19),
		 TCPWIN_REJECT_TCP_TRUNCATED),
	rejected("v4_options_cut_off", v4({.ihl = 15, .total_length = 80, .protocol = 6}).payload(39),
		 TCPWIN_REJECT_IP_TRUNCATED),
	rejected("v4_length_39", v4({.total_length = 39}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_LENGTH),
	rejected("v4_length_below_header", v4({.options = Bytes(8, 1), .total_length = 27}).tcp(40000, 80, ack),
		 TCPWIN_REJECT_IP_LENGTH),
};

const std::vector<Case> ipv6_cases = {
	accepted("v6", v6().tcp(40000, 80, ack)),
	accepted("v6_payload_length_0", v6({.payload_length = 0}).tcp(40000, 80, ack).payload(5)),
	accepted("v6_payload_length_too_large", v6({.payload_length = 1400}).tcp(40000, 80, ack)),
	accepted("v6_hop_by_hop", v6().hop_by_hop().tcp(40000, 80, ack)),
	accepted("v6_routing", v6().routing({.length = 24}).tcp(40000, 80, ack)),
	accepted("v6_authentication", v6().authentication().tcp(40000, 80, ack)),
	accepted("v6_long_authentication", v6().authentication({.length = 28}).tcp(40000, 80, ack)),
	accepted("v6_destination", v6().destination({.length = 40}).tcp(40000, 80, ack)),
	accepted("v6_longest_extension", v6().destination({.length = 2048}).tcp(40000, 80, ack)),
	accepted("v6_first_fragment", v6().fragment({.more = true}).tcp(40000, 80, ack).payload(8)),
	accepted("v6_all_kinds",
		 v6().hop_by_hop().destination().routing().fragment().authentication().destination().tcp(40000, 80,
													 syn)),
	accepted("v6_eight_extensions", with_destination_options(8)),
	rejected("v6_nine_extensions", with_destination_options(9), TCPWIN_REJECT_IPV6_EXTENSIONS),
	rejected("v6_udp", v6().udp(40000, 53), TCPWIN_REJECT_NOT_TCP),
	rejected("v6_extension_and_udp", v6().hop_by_hop().udp(40000, 53), TCPWIN_REJECT_NOT_TCP),
	rejected("v6_nothing", v6(), TCPWIN_REJECT_NOT_TCP),
	rejected("v6_header_cut_off", Frame().ethernet({.type = 0x86dd}).payload(39), TCPWIN_REJECT_IP_TRUNCATED),
	rejected("v6_version_4", v6({.version = 4}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_VERSION),
	rejected("v6_later_fragment", v6().fragment({.offset = 1, .id = 7}).tcp(40000, 80, ack),
		 TCPWIN_REJECT_LATER_FRAGMENT),
	rejected("v6_later_fragment_of_extension",
		 v6().fragment({.offset = 1, .id = 7}).destination().tcp(40000, 80, ack), TCPWIN_REJECT_LATER_FRAGMENT),
	rejected("v6_later_fragment_of_udp", v6().fragment({.offset = 1, .id = 7}).udp(1, 2), TCPWIN_REJECT_NOT_TCP),
	rejected("v6_payload_length_19", v6({.payload_length = 19}).tcp(40000, 80, ack), TCPWIN_REJECT_IP_LENGTH),
	rejected("v6_tcp_cut_off", v6({.payload_length = 20, .next_header = 6}).payload(19),
		 TCPWIN_REJECT_TCP_TRUNCATED),
	rejected("v6_extension_cut_off", v6({.payload_length = 28, .next_header = 60}).payload(7),
		 TCPWIN_REJECT_IP_TRUNCATED),
	rejected("v6_extension_beyond_length", v6({.payload_length = 7}).hop_by_hop().tcp(40000, 80, ack),
		 TCPWIN_REJECT_IP_LENGTH),
	rejected("v6_extension_longer_than_length", v6({.payload_length = 8}).hop_by_hop({.length = 16}).tcp(1, 2, ack),
		 TCPWIN_REJECT_IP_LENGTH),
};

const std::vector<Case> tcp_cases = {
	accepted("scale_7", with_options({2, 4, 5, 0xb4, 1, 3, 3, 7})),
	accepted("scale_15", with_options({3, 3, 15})),
	accepted("scale_after_nops", with_options({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
						   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 2})),
	accepted("scale_twice", with_options({3, 3, 7, 3, 3, 8})),
	accepted("scale_after_the_end", with_options({1, 0, 3, 3, 2})),
	accepted("scale_cut_off", with_options({1, 1, 3, 3})),
	accepted("scale_of_wrong_length", with_options({3, 4, 2, 0})),
	accepted("option_of_length_0", with_options({8, 0, 3, 3, 2, 0})),
	accepted("option_beyond_header", with_options({8, 40, 3, 3})),
	accepted("scale_without_syn", v4().tcp(40000, 80, ack, {.options = {3, 3, 7, 0}})),
	accepted("scale_beyond_ip_length", v4({.total_length = 42}).tcp(40000, 80, syn, {.options = {3, 3, 7, 0}})),
	accepted("data_offset_15", v4().tcp(40000, 80, syn, {.data_offset = 15})),
	accepted("all_flags", v4().tcp(40000, 80, 0xff)),
	accepted("no_flags", v4().tcp(40000, 80, 0)),
	rejected("data_offset_4", v4().tcp(40000, 80, ack, {.data_offset = 4}), TCPWIN_REJECT_TCP_DATA_OFFSET),
	rejected("data_offset_0", v6().tcp(40000, 80, ack, {.data_offset = 0}), TCPWIN_REJECT_TCP_DATA_OFFSET),
};

// The name of the one verdict or reject reason that was incremented.
const char *raised(const tcpwin_counters &before, const tcpwin_counters &after)
{
	const char *found = "none";
	uint64_t sum = 0;
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++) {
		if (is_event(i) || after.value[i] == before.value[i])
			continue;
		sum += after.value[i] - before.value[i];
		found = name_of(i);
	}
	return sum <= 1 ? found : "several";
}

Bytes first(size_t size, const Bytes &frame)
{
	return {frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size)};
}

class FramesTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped())
			kernel_.emplace();
	}

	// The name of the counter that the frame increments in the kernel.
	const char *raised_by(const Bytes &frame)
	{
		tcpwin_counters before = kernel_->counters();
		kernel_->run_at(frame, second);
		return raised(before, kernel_->counters());
	}

	// User space and the kernel make the same flow of all frames so far.
	void expect_same_flow(const Bytes &frame)
	{
		model_.packet(frame, second);
		Parsed parsed = parse(frame);
		if (parsed.reject != TCPWIN_ACCEPTED)
			return;
		auto flow = kernel_->flow(parsed.key);
		ASSERT_TRUE(flow) << "no entry of that key";
		EXPECT_TRUE(same(*flow, model_.entries().at(parsed.key).flow));
	}

	void expect_as_in_user_space(const Bytes &frame)
	{
		tcpwin_reject reject = parse(frame).reject;
		tcpwin_counter expected = reject ? counter_of(reject) : TCPWIN_COUNTER_TRACKED;
		ASSERT_STREQ(raised_by(frame), name_of(expected));
		expect_same_flow(frame);
	}

	void expect_as_said(const std::vector<Case> &cases)
	{
		for (const Case &given : cases) {
			SCOPED_TRACE(given.name);
			EXPECT_STREQ(raised_by(given.frame), name_of(given.counter));
			expect_same_flow(given.frame);
		}
	}

	void expect_as_in_user_space_wherever_cut_off(const std::vector<Case> &cases)
	{
		for (const Case &given : cases)
			for (size_t size = shortest_frame; size < given.frame.size(); size++) {
				SCOPED_TRACE(given.name + " cut off at byte " + std::to_string(size));
				ASSERT_NO_FATAL_FAILURE(expect_as_in_user_space(first(size, given.frame)));
			}
		EXPECT_EQ(kernel_->flows().size(), model_.entries().size());
	}

	std::optional<Kernel> kernel_;
	Model model_;
};

TEST_F(FramesTest, Ethernet)
{
	expect_as_said(ethernet_cases);
	expect_as_in_user_space_wherever_cut_off(ethernet_cases);
}

TEST_F(FramesTest, Ipv4)
{
	expect_as_said(ipv4_cases);
	expect_as_in_user_space_wherever_cut_off(ipv4_cases);
}

TEST_F(FramesTest, Ipv6)
{
	expect_as_said(ipv6_cases);
	expect_as_in_user_space_wherever_cut_off(ipv6_cases);
}

TEST_F(FramesTest, Tcp)
{
	expect_as_said(tcp_cases);
	expect_as_in_user_space_wherever_cut_off(tcp_cases);
}

// A program sees the first few thousand bytes of a jumbo frame. The rest counts as not captured.
TEST_F(FramesTest, HeadersBeyondTheLinearPartAreTruncated)
{
	std::vector<std::string> outcomes;

	for (size_t length = 8; length <= 2048; length += 8) {
		Frame frame = v6().destination({.length = 2048}).destination({.length = length});
		std::string outcome = raised_by(frame.tcp(40000, 80, ack).payload(4000).bytes());
		if (outcomes.empty() || outcomes.back() != outcome)
			outcomes.push_back(outcome);
	}
	EXPECT_EQ(outcomes, (std::vector<std::string>{"tracked", "tcp_truncated", "ip_truncated"}));
}

// The cases are complete only if every reason is expected by one.
TEST(FrameCases, ExpectEveryReason)
{
	std::set<int> expected;
	for (const auto *cases : {&ethernet_cases, &ipv4_cases, &ipv6_cases, &tcp_cases})
		for (const Case &given : *cases)
			expected.insert(given.counter);
	for (int counter = TCPWIN_COUNTER_NOT_IP; counter < TCPWIN_COUNTER_COUNT; counter++)
		EXPECT_TRUE(expected.contains(counter)) << name_of(counter);
}

} // namespace
} // namespace tcpwin::test
