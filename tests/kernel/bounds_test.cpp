// SPDX-License-Identifier: Apache-2.0
//
// Whoever sends packets can fill each table and each ring buffer. What happens
// then is in docs/security.md.
#include <gmock/gmock.h>

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::SizeIs;

constexpr uint8_t ack = TCPWIN_FLAG_ACK;
constexpr uint64_t start = 100 * second;

class BoundsTest : public KernelTest {};

std::string address(uint32_t number)
{
	return "10.1." + std::to_string(number >> 8 & 255) + "." + std::to_string(number & 255);
}

Bytes fragment(uint32_t sender, uint16_t offset)
{
	const Ipv4Fields fields = {.id = 7, .fragment_offset = offset, .more_fragments = true, .protocol = 6};
	Frame frame = Frame().ethernet().ipv4(address(sender), "10.0.0.2", fields);
	return (offset ? frame.payload(64) : frame.tcp(40000, 80, ack).payload(64)).bytes();
}

// The kernel evicts in groups, so some thousands more than the limit are sent.
TEST_F(BoundsTest, FragmentedPacketsPushEachOtherOutAndNothingElse)
{
	constexpr uint32_t senders = 2 * TCPWIN_MAX_FRAGMENTED_PACKETS;
	Kernel kernel({.flows = 65536});
	for (uint32_t i = 0; i < senders; i++)
		kernel.run_at(fragment(i, 0), start);
	kernel.run_at(fragment(0, 9), start);           // forgotten
	kernel.run_at(fragment(senders - 1, 9), start); // remembered
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_TRACKED), senders + 1);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_LATER_FRAGMENT), 1u);
	EXPECT_EQ(kernel.live_flows(), senders);
}

Bytes from_reader(uint32_t number, uint16_t window)
{
	return Frame().ethernet().ipv4(address(number), "10.0.0.2").tcp(40000, 80, ack, {.window = window}).bytes();
}

Bytes to_reader(uint32_t number)
{
	return Frame().ethernet().ipv4("10.0.0.2", address(number)).tcp(80, 40000, ack).bytes();
}

TEST_F(BoundsTest, TooManyStalledHostsHideNoStall)
{
	constexpr uint32_t hosts = 2 * TCPWIN_MAX_STALLED_HOSTS;
	Kernel kernel({.flows = 65536, .records = 1 << 24});
	kernel.config() = TCPWIN_MONITOR_CONFIG;
	for (uint32_t i = 0; i < hosts; i++)
		kernel.run_at(from_reader(i, 0), start);
	EXPECT_LE(kernel.stalled_flows().size(), static_cast<size_t>(TCPWIN_MAX_STALLED_HOSTS));
	for (uint32_t i = 0; i < hosts; i++)
		kernel.run_at(to_reader(i), start + 6 * second);
	const Drained drained = kernel.drain();
	EXPECT_THAT(drained.alarms, SizeIs(hosts));
	for (const tcpwin_alarm &alarm : drained.alarms)
		ASSERT_TRUE((alarm.raised[0] | alarm.raised[1]) & TCPWIN_ALARM_STALL);
}

TEST_F(BoundsTest, AlarmsThatDoNotFitAreCountedAndInTheRecords)
{
	constexpr uint32_t ring = 4096, hosts = 200;
	Kernel kernel({.flows = 1024, .records = ring});
	kernel.config() = TCPWIN_MONITOR_CONFIG;
	for (uint32_t i = 0; i < hosts; i++) {
		kernel.run_at(from_reader(i, 0), start);
		kernel.run_at(to_reader(i), start + 6 * second);
	}
	const auto reported = kernel.drain().alarms.size();
	EXPECT_GT(reported, 5u);
	EXPECT_LT(reported, hosts);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_ALARMS_UNREPORTED), hosts - reported);

	tcpwin_sweep sweep = {};
	sweep.now_ns = start + 7 * second;
	sweep.shutdown = 1;
	uint32_t marked = 0, records = 0;
	for (bool more = true; more;) {
		more = kernel.sweep(sweep).ring_full;
		for (const tcpwin_record &record : kernel.drain().records) {
			records++;
			const auto &[one, other] = record.flow.direction;
			marked += ((one.alarms | other.alarms) & TCPWIN_ALARM_STALL) != 0;
		}
	}
	EXPECT_EQ(records, hosts);
	EXPECT_EQ(marked, hosts);
}

} // namespace
} // namespace tcpwin::test
