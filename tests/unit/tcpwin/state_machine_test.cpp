// SPDX-License-Identifier: Apache-2.0
//
// The state machine against an independent list of rules, written from the
// semantics and not from state.h: every rule over all states, all flags and all
// limits. Then the consequences that the semantics name, each as packets of one
// connection.
#include <tcpwin/flow.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <random>
#include <set>
#include <sstream>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr __u8 FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10;
constexpr __u8 NEW = 0x00, BGN = 0x01, EST = 0x02, ABRT = 0x04;
constexpr __u8 ABORTED = 0x40, BELOW = 0x80;

// ---------------------------------------------------------------- the rules

struct Situation {
	__u8 state;
	__u8 timeout;
	__u8 stat;
	__u8 flags;
	__u16 window = 0;
	__u32 count = 0;
	bool reverse_exists = false;
	__u32 threshold = 0;
	__u32 abort_count = 0;
};

bool syn(const Situation &s)
{
	return s.flags & SYN;
}

bool ack(const Situation &s)
{
	return s.flags & ACK;
}

bool ended(const Situation &s) // FIN or RST so far, including this packet
{
	return (s.stat | s.flags) & (FIN | RST);
}

__u32 count_after(const Situation &s)
{
	return s.count + (s.window < s.threshold ? 1 : 0);
}

bool enough(const Situation &s)
{
	return count_after(s) >= s.abort_count;
}

constexpr int SAME = -1;

struct Rule {
	const char *name;
	__u8 state;
	bool (*applies)(const Situation &);
	int next_state;
	int next_timeout;
	bool aborts;
};

// For every situation exactly one rule applies.
const Rule rules[] = {
	{"NEW, SYN", NEW, [](auto &s) { return syn(s); }, BGN, TCPWIN_TIMEOUT_BGN, false},
	{"NEW, neither", NEW, [](auto &s) { return !syn(s) && !ack(s); }, SAME, SAME, false},
	{"NEW, ACK, ended", NEW, [](auto &s) { return !syn(s) && ack(s) && ended(s); }, ABRT, TCPWIN_TIMEOUT_EST,
	 false},
	{"NEW, ACK, few", NEW, [](auto &s) { return !syn(s) && ack(s) && !ended(s) && !enough(s); }, EST,
	 TCPWIN_TIMEOUT_EST, false},
	{"NEW, ACK, enough", NEW, [](auto &s) { return !syn(s) && ack(s) && !ended(s) && enough(s); }, ABRT,
	 TCPWIN_TIMEOUT_ABRT, true},
	{"BGN, ended", BGN, [](auto &s) { return ended(s); }, ABRT, TCPWIN_TIMEOUT_EST, false},
	{"BGN, few", BGN, [](auto &s) { return !ended(s) && !enough(s); }, SAME, TCPWIN_TIMEOUT_EST, false},
	{"BGN, enough", BGN, [](auto &s) { return !ended(s) && enough(s); }, ABRT, TCPWIN_TIMEOUT_ABRT, true},
	{"EST, ended", EST, [](auto &s) { return ended(s); }, ABRT, TCPWIN_TIMEOUT_EST, false},
	{"EST, few", EST, [](auto &s) { return !ended(s) && !enough(s); }, SAME, SAME, false},
	{"EST, enough", EST, [](auto &s) { return !ended(s) && enough(s); }, ABRT, TCPWIN_TIMEOUT_ABRT, true},
	{"ABRT", ABRT, [](auto &) { return true; }, SAME, TCPWIN_TIMEOUT_ABRT, false},
};

const Rule *the_rule_for(const Situation &s)
{
	const Rule *found = nullptr;
	for (const Rule &rule : rules) {
		if (rule.state != s.state || !rule.applies(s))
			continue;
		if (found)
			return nullptr;
		found = &rule;
	}
	return found;
}

// Every byte has a value whose wrong change would be detected.
tcpwin_direction some_direction()
{
	tcpwin_direction direction = {};
	direction.first_ns = 11;
	direction.last_ns = 12;
	direction.packets = 13;
	direction.bytes = 14;
	direction.zero_window_count = 15;
	direction.window_min = 16;
	direction.window_max = 17;
	direction.window_last = 18;
	direction.tcp_flags = 19;
	direction.stat = 0x1a;
	direction.state = EST;
	direction.timeout = TCPWIN_TIMEOUT_EST;
	direction.window_scale = 20;
	return direction;
}

tcpwin_direction sender_of(const Situation &s)
{
	tcpwin_direction direction = some_direction();
	direction.state = s.state;
	direction.timeout = s.timeout;
	direction.stat = s.stat;
	direction.zero_window_count = s.count;
	return direction;
}

tcpwin_direction reverse_of(const Situation &s)
{
	return s.reverse_exists ? some_direction() : tcpwin_direction{};
}

tcpwin_direction expected_sender(const Situation &s, const Rule &rule)
{
	tcpwin_direction direction = sender_of(s);
	direction.zero_window_count = count_after(s);
	direction.stat |= s.flags & 0x1f;
	direction.stat |= s.window < s.threshold ? BELOW : 0;
	direction.stat |= rule.aborts ? ABORTED : 0;
	direction.alarms |= rule.aborts ? TCPWIN_ALARM_ABORT_COUNT : 0;
	if (rule.next_state != SAME)
		direction.state = static_cast<__u8>(rule.next_state);
	if (rule.next_timeout != SAME)
		direction.timeout = static_cast<__u8>(rule.next_timeout);
	return direction;
}

tcpwin_direction expected_reverse(const Situation &s, const Rule &rule)
{
	tcpwin_direction direction = reverse_of(s);
	if (rule.aborts && s.reverse_exists) {
		direction.state = ABRT;
		direction.timeout = TCPWIN_TIMEOUT_ABRT;
	}
	return direction;
}

bool same(const tcpwin_direction &left, const tcpwin_direction &right)
{
	return std::memcmp(&left, &right, sizeof(left)) == 0;
}

std::string describe(const Situation &s)
{
	std::ostringstream text;
	text << std::hex << std::showbase << "state " << +s.state << " stat " << +s.stat << " flags " << +s.flags
	     << std::dec << " timeout " << +s.timeout << " window " << s.window << " threshold " << s.threshold
	     << " count " << s.count << " abort count " << s.abort_count << " reverse " << s.reverse_exists;
	return text.str();
}

testing::AssertionResult follows_the_rule(const Situation &s, const Rule &rule)
{
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	config.window_threshold = s.threshold;
	config.abort_count = s.abort_count;
	tcpwin_direction sender = sender_of(s), reverse = reverse_of(s);

	tcpwin_packet packet{};
	packet.tcp_flags = s.flags;
	packet.window = s.window;
	packet.segments = 1;
	tcpwin_step(&sender, &reverse, &packet, &config, packet.tcp_flags);

	if (!same(sender, expected_sender(s, rule)))
		return testing::AssertionFailure() << rule.name << ": sender wrong at " << describe(s);
	if (!same(reverse, expected_reverse(s, rule)))
		return testing::AssertionFailure() << rule.name << ": reverse wrong at " << describe(s);
	return testing::AssertionSuccess();
}

// A direction leaves NEW with its first SYN or ACK: with them in stat it is not NEW.
bool can_happen(const Situation &s)
{
	return s.state != NEW || !(s.stat & (SYN | ACK));
}

const __u8 all_stats[] = {0x00, FIN, SYN, RST, PSH, ACK, SYN | ACK, FIN | PSH, ABORTED, BELOW, BELOW | RST, 0xdf};

// Calls use(situation) for all flags, limits, histories and reverse directions.
template <typename Use> void for_limits(Situation s, Use use)
{
	for (__u32 threshold : {0u, 1u, 2u, 65535u, 65536u})
		for (__u16 window : {0, 1, 2, 65534, 65535})
			for (__u32 abort_count : {0u, 1u, 2u, 3u})
				for (__u32 count : {0u, 1u, 2u, 3u, 4u})
					for (bool reverse_exists : {false, true}) {
						s.threshold = threshold;
						s.window = window;
						s.abort_count = abort_count;
						s.count = count;
						s.reverse_exists = reverse_exists;
						use(s);
					}
}

template <typename Use> void for_all(__u8 state, Use use)
{
	for (int flags = 0; flags < 256; flags++)
		for (__u8 timeout = 0; timeout <= TCPWIN_TIMEOUT_ABRT; timeout++)
			for (__u8 stat : all_stats) {
				Situation s = {.state = state,
					       .timeout = timeout,
					       .stat = stat,
					       .flags = static_cast<__u8>(flags)};
				if (can_happen(s))
					for_limits(s, use);
			}
}

class EveryState : public testing::TestWithParam<__u8> {};

TEST_P(EveryState, FollowsExactlyOneRule)
{
	constexpr int enough_to_see = 5;
	int failures = 0;
	std::set<std::string> applied, expected;

	for_all(GetParam(), [&](const Situation &s) {
		const Rule *rule = the_rule_for(s);
		if (failures >= enough_to_see)
			return;
		if (!rule) {
			failures++;
			ADD_FAILURE() << "no rule or several for " << describe(s);
		} else if (auto result = follows_the_rule(s, *rule); !result) {
			failures++;
			ADD_FAILURE() << result.message();
		} else {
			applied.insert(rule->name);
		}
	});

	for (const Rule &rule : rules)
		if (rule.state == GetParam())
			expected.insert(rule.name);
	EXPECT_EQ(applied, expected) << "a rule that was never tried";
}

INSTANTIATE_TEST_SUITE_P(StateMachine, EveryState, testing::Values(NEW, BGN, EST, ABRT),
			 [](const testing::TestParamInfo<__u8> &state) {
				 switch (state.param) {
				 case NEW:
					 return "NEW";
				 case BGN:
					 return "BGN";
				 case EST:
					 return "EST";
				 default:
					 return "ABRT";
				 }
			 });

// ---------------------------------------------------------- one connection

// Client 10.0.0.1:40000 is endpoint 0 of the key, server 10.0.0.2:80 endpoint 1.
// As the caller does with its flow table: a packet that finds the flow expired begins another.
struct Connection {
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	tcpwin_flow flow = {};
	int flows = 0;

	static constexpr __u16 open = 1000;

	const tcpwin_direction &packet(__u32 sender, nanoseconds at, __u8 flags, __u16 window)
	{
		tcpwin_packet packet = {};
		packet.segments = 1;
		packet.source_port = sender ? 80 : 40000;
		packet.destination_port = sender ? 40000 : 80;
		packet.bytes = 40;
		packet.tcp_flags = flags;
		packet.window = window;
		packet.window_scale = TCPWIN_NO_WINDOW_SCALE;
		auto now = static_cast<__u64>(at.count());
		if (!flows || tcpwin_is_expired(&flow, &config, now))
			tcpwin_begin_flow(&flow, static_cast<__u64>(++flows), 1, &packet, sender, 0);
		tcpwin_update_flow(&flow, &config, &packet, sender, now, packet.tcp_flags);
		return flow.direction[sender];
	}

	const tcpwin_direction &client(nanoseconds at, __u8 flags, __u16 window = open)
	{
		return packet(0, at, flags, window);
	}

	const tcpwin_direction &server(nanoseconds at, __u8 flags, __u16 window = open)
	{
		return packet(1, at, flags, window);
	}

	nanoseconds expires() const { return nanoseconds(tcpwin_expires_at(&flow, &config)); }
};

TEST(StateMachine, FlowThatBeganWithSynKeepsBgnForLife)
{
	Connection tcp;

	EXPECT_EQ(tcp.client(0ms, SYN).state, 0x01);
	EXPECT_EQ(tcp.server(1ms, SYN | ACK).state, 0x01);
	for (int i = 2; i < 100; i++) {
		EXPECT_EQ(tcp.client(i * 1ms, ACK | PSH).state, 0x01);
		EXPECT_EQ(tcp.server(i * 1ms, ACK).state, 0x01);
	}
	EXPECT_EQ(tcp.flow.direction[0].timeout, TCPWIN_TIMEOUT_EST);
	EXPECT_EQ(tcp.flow.direction[1].timeout, TCPWIN_TIMEOUT_EST);
	EXPECT_EQ(tcp.flows, 1);
}

TEST(StateMachine, FlowThatBeganWithoutSynIsEstablishedAtItsFirstAck)
{
	Connection tcp;

	EXPECT_EQ(tcp.client(0ms, ACK).state, 0x02);
	EXPECT_EQ(tcp.client(1ms, SYN).state, 0x02) << "a later SYN does not lead back to BGN";
	EXPECT_EQ(tcp.expires(), 1ms + 1s);
}

TEST(StateMachine, FirstSynIsExemptFromTheAbortCheckButItsZeroWindowCounts)
{
	Connection tcp;
	tcp.config.abort_count = 1;

	const tcpwin_direction &client = tcp.client(0ms, SYN, 0);
	EXPECT_EQ(client.state, 0x01);
	EXPECT_EQ(client.zero_window_count, 1u);
	EXPECT_EQ(client.stat, SYN | BELOW);
	EXPECT_EQ(tcp.expires(), 2200ms);

	tcp.client(1ms, ACK, Connection::open);
	EXPECT_EQ(client.state, 0x04) << "the SYN's zero window is enough for the next packet";
	EXPECT_EQ(client.stat, SYN | ACK | BELOW | ABORTED);
	EXPECT_EQ(client.zero_window_count, 1u);
}

TEST(StateMachine, EvenAFirstSynWithFinOrRstOnlyBegins)
{
	for (__u8 flags : {SYN | FIN, SYN | RST, SYN | FIN | RST | ACK}) {
		Connection tcp;
		EXPECT_EQ(tcp.client(0ms, flags).state, 0x01);
		EXPECT_EQ(tcp.expires(), 2200ms);
		EXPECT_EQ(tcp.client(1ms, ACK).state, 0x04) << "FIN and RST are remembered";
		EXPECT_EQ(tcp.expires(), 1ms + 1s);
	}
}

TEST(StateMachine, FinOrRstIsTestedBeforeTheCount)
{
	for (__u8 end : {FIN, RST}) {
		Connection tcp;
		tcp.client(0ms, ACK, 0);

		const tcpwin_direction &client = tcp.client(1ms, end | ACK, 0);
		EXPECT_EQ(client.zero_window_count, 2u) << "the packet itself counts";
		EXPECT_EQ(client.state, 0x04);
		EXPECT_EQ(client.stat, end | ACK | BELOW);
		EXPECT_EQ(client.timeout, TCPWIN_TIMEOUT_EST);

		for (int i = 0; i < 10; i++)
			tcp.client(2ms + i * 100us, ACK, 0);
		EXPECT_EQ(client.zero_window_count, 12u);
		EXPECT_EQ(client.stat, end | ACK | BELOW) << "0x40 never follows";
	}
}

TEST(StateMachine, RepeatedSynShortensTheTimeout)
{
	Connection tcp;

	tcp.client(0s, SYN);
	EXPECT_EQ(tcp.expires(), 2200ms);
	EXPECT_EQ(tcp.client(1s, SYN).state, 0x01);
	EXPECT_EQ(tcp.expires(), 1s + 1s);
	EXPECT_EQ(tcp.flows, 1) << "a new SYN does not restart a living flow";
}

TEST(StateMachine, SingleFinLeavesOneSecondAndTheNextPacketOneMillisecond)
{
	Connection tcp;

	tcp.client(0ms, ACK);
	EXPECT_EQ(tcp.client(10ms, FIN | ACK).state, 0x04);
	EXPECT_EQ(tcp.expires(), 10ms + 1s);
	EXPECT_EQ(tcp.client(500ms, ACK).state, 0x04);
	EXPECT_EQ(tcp.expires(), 500ms + 1ms);
	EXPECT_EQ(tcp.flows, 1);
}

TEST(StateMachine, FinOfOneDirectionLeavesTheOtherAlone)
{
	Connection tcp;

	tcp.server(0ms, ACK);
	const tcpwin_direction before = tcp.flow.direction[1];
	tcp.client(1ms, FIN | ACK);
	EXPECT_TRUE(same(tcp.flow.direction[1], before));
}

TEST(StateMachine, ZeroWindowsOfBothDirectionsAreCountedSeparately)
{
	Connection tcp;

	EXPECT_EQ(tcp.client(0ms, ACK, 0).zero_window_count, 1u);
	EXPECT_EQ(tcp.server(1ms, ACK, 0).zero_window_count, 1u);
	EXPECT_EQ(tcp.flow.direction[0].state, 0x02);
	EXPECT_EQ(tcp.flow.direction[1].state, 0x02);
}

TEST(StateMachine, AbortLeavesOneMillisecondInBothDirections)
{
	Connection tcp;

	tcp.server(0ms, ACK);
	tcp.client(100ms, ACK, 0);
	EXPECT_EQ(tcp.expires(), 100ms + 1s);
	EXPECT_EQ(tcp.client(200ms, ACK, 0).state, 0x04);
	EXPECT_EQ(tcp.expires(), 200ms + 1ms);
	EXPECT_EQ(tcp.flow.direction[1].timeout, TCPWIN_TIMEOUT_ABRT);
}

TEST(StateMachine, ReverseStatIsUnchangedOnAbort)
{
	Connection tcp;

	tcp.server(0ms, ACK | PSH, 0);
	tcp.client(1ms, ACK, 0);
	EXPECT_EQ(tcp.client(2ms, ACK, 0).stat, ACK | BELOW | ABORTED);

	const tcpwin_direction &server = tcp.flow.direction[1];
	EXPECT_EQ(server.stat, ACK | PSH | BELOW);
	EXPECT_EQ(server.zero_window_count, 1u);
	EXPECT_EQ(server.state, 0x04);
	tcp.server(2500us, ACK, 0);
	EXPECT_EQ(server.zero_window_count, 2u);
	EXPECT_EQ(server.stat, ACK | PSH | BELOW) << "in ABRT nothing more is checked";
}

TEST(StateMachine, AbortShortensAReverseDirectionThatHadFinished)
{
	Connection tcp;

	tcp.server(0ms, FIN | ACK);
	EXPECT_EQ(tcp.flow.direction[1].timeout, TCPWIN_TIMEOUT_EST);
	tcp.client(1ms, ACK, 0);
	tcp.client(2ms, ACK, 0);
	EXPECT_EQ(tcp.flow.direction[1].timeout, TCPWIN_TIMEOUT_ABRT);
	EXPECT_EQ(tcp.expires(), 3ms);
}

TEST(StateMachine, AbortWithoutReverseLeavesItsPlaceEmpty)
{
	Connection tcp;

	tcp.client(0ms, ACK, 0);
	tcp.client(1ms, ACK, 0);
	EXPECT_TRUE(same(tcp.flow.direction[1], tcpwin_direction{}));
}

TEST(StateMachine, ReverseThatFirstAppearsAfterAnAbortKeepsThePairAlive)
{
	Connection tcp;

	tcp.client(0ms, ACK, 0);
	EXPECT_EQ(tcp.client(1ms, ACK, 0).state, 0x04);
	EXPECT_EQ(tcp.expires(), 2ms);

	EXPECT_EQ(tcp.server(1500us, ACK).state, 0x02);
	EXPECT_EQ(tcp.flow.direction[1].timeout, TCPWIN_TIMEOUT_EST);
	EXPECT_EQ(tcp.expires(), 1500us + 1s);

	tcp.client(900ms, ACK);
	EXPECT_EQ(tcp.flows, 1);
	EXPECT_EQ(tcp.expires(), 1500us + 1s) << "the client's 1 ms does not shorten it";
}

TEST(StateMachine, PacketsLessThanAMillisecondApartKeepAnAbortedFlowAlive)
{
	Connection tcp;

	for (int i = 0; i < 31; i++)
		tcp.client(i * 999'999ns, ACK, 0);
	EXPECT_EQ(tcp.flows, 1);
	EXPECT_EQ(tcp.flow.direction[0].zero_window_count, 31u);
	EXPECT_EQ(tcp.flow.direction[0].stat, ACK | BELOW | ABORTED);
}

TEST(StateMachine, PacketsAMillisecondApartAreCutIntoPairs)
{
	Connection tcp;

	for (int i = 0; i < 6; i++)
		tcp.client(i * 1ms, ACK, 0);
	EXPECT_EQ(tcp.flows, 3) << "every second zero window aborts";
}

TEST(StateMachine, CountersBeginAtZeroInEachNewFlow)
{
	Connection tcp;
	tcp.server(0s, SYN | PSH | RST, 3);
	for (int i = 0; i < 4; i++)
		tcp.client(0s, ACK | FIN, 0);

	const tcpwin_direction &client = tcp.client(5s, ACK, 0);
	EXPECT_EQ(tcp.flows, 2);
	EXPECT_EQ(client.packets, 1u);
	EXPECT_EQ(client.bytes, 40u);
	EXPECT_EQ(client.zero_window_count, 1u);
	EXPECT_EQ(client.stat, ACK | BELOW);
	EXPECT_EQ(client.state, 0x02);
	EXPECT_EQ(client.tcp_flags, ACK);
	EXPECT_EQ(client.first_ns, 5'000'000'000u);
	EXPECT_TRUE(same(tcp.flow.direction[1], tcpwin_direction{}));
}

TEST(StateMachine, NewWithoutSynOrAckStaysNewWithTenSeconds)
{
	for (__u8 flags : {0x00, int(FIN), int(RST), int(PSH), 0xe8}) {
		Connection tcp;
		EXPECT_EQ(tcp.client(0s, flags).state, 0x00);
		EXPECT_EQ(tcp.client(9s, flags, 0).state, 0x00);
		EXPECT_EQ(tcp.client(18s, flags, 0).state, 0x00) << "no abort check in NEW";
		EXPECT_EQ(tcp.flow.direction[0].zero_window_count, 2u);
		EXPECT_EQ(tcp.flow.direction[0].stat, (flags & 0x1f) | BELOW);
		EXPECT_EQ(tcp.expires(), 18s + 10s);
		EXPECT_EQ(tcp.flows, 1);
	}
}

TEST(StateMachine, FinWhileNewEndsTheDirectionAtItsFirstAck)
{
	Connection tcp;

	EXPECT_EQ(tcp.client(0s, FIN).state, 0x00);
	EXPECT_EQ(tcp.client(1s, ACK).state, 0x04);
	EXPECT_EQ(tcp.expires(), 1s + 1s);
}

TEST(StateMachine, FirstPacketCanAbortIfItIsNoSyn)
{
	Connection tcp;
	tcp.config.abort_count = 1;

	EXPECT_EQ(tcp.client(0ms, ACK, 0).state, 0x04);
	EXPECT_EQ(tcp.flow.direction[0].stat, ACK | BELOW | ABORTED);
	EXPECT_EQ(tcp.expires(), 1ms);
}

TEST(StateMachine, ResetsWithWindowZeroCountButEndTheDirection)
{
	Connection tcp;

	tcp.client(0ms, ACK, 0);
	EXPECT_EQ(tcp.client(1ms, RST, 0).stat, ACK | RST | BELOW);
	EXPECT_EQ(tcp.flow.direction[0].zero_window_count, 2u);
	EXPECT_EQ(tcp.expires(), 1ms + 1s);
}

TEST(StateMachine, WindowsAreRawEvenWithAScale)
{
	Connection tcp;
	tcp.config.window_threshold = 100;

	EXPECT_EQ(tcp.client(0ms, SYN, 100).zero_window_count, 0u);
	tcp.flow.direction[0].window_scale = 14;
	EXPECT_EQ(tcp.client(1ms, ACK, 99).zero_window_count, 1u);
}

// Invariants after any packets in any order.
TEST(StateMachine, InvariantsHoldInRandomConversations)
{
	std::mt19937 random(20240229);
	const __u16 windows[] = {0, 0, 1, 1000};
	int aborted = 0, ended = 0;

	for (int conversation = 0; conversation < 20000; conversation++) {
		Connection tcp;
		std::array<bool, 2> ended_unaborted = {};
		for (int i = 0; i < 12; i++) {
			__u32 sender = random() & 1;
			__u8 flags = static_cast<__u8>(random() & random());
			const tcpwin_direction &d = tcp.packet(sender, i * 1us, flags, windows[random() & 3]);
			bool first = d.packets == 1;

			if (ended_unaborted[sender]) {
				ASSERT_FALSE(d.stat & ABORTED) << "0x40 after FIN or RST";
			}
			if (d.stat & (SYN | ACK)) {
				ASSERT_NE(d.state, NEW);
			}
			if (d.state == BGN) {
				ASSERT_TRUE(d.stat & SYN);
			}
			ASSERT_EQ(d.zero_window_count > 0, (d.stat & BELOW) != 0);
			ASSERT_TRUE(!first || !(flags & SYN) || d.state == BGN);
			ended_unaborted[sender] = (d.stat & (FIN | RST)) && !(d.stat & ABORTED);
			aborted += (d.stat & ABORTED) != 0;
			ended += ended_unaborted[sender];
		}
		ASSERT_EQ(tcp.flows, 1);
	}
	EXPECT_GT(aborted, 1000);
	EXPECT_GT(ended, 1000);
}

} // namespace
