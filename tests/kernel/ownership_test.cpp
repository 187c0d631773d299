// SPDX-License-Identifier: Apache-2.0
//
// Packets and sweeps that meet an entry which its sequence word denies them. The
// test writes such entries itself: in traffic they last for a fraction of a
// microsecond.
#include <gmock/gmock.h>

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::IsEmpty;

constexpr uint64_t start = 100 * second;
constexpr uint64_t long_after = 200 * second; // all timeouts have expired

class OwnershipTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (IsSkipped())
			return;
		kernel_.emplace();
		kernel_->run_at(packet_, start);
		flow_ = kernel_->flow(key_).value();
	}

	// The flow of one packet, with another sequence word.
	void set_seq(uint64_t seq)
	{
		flow_.seq = seq;
		kernel_->put(key_, flow_);
	}

	void expect_untouched()
	{
		auto flow = kernel_->flow(key_);
		ASSERT_TRUE(flow) << "deleted";
		EXPECT_TRUE(same_bytes(*flow, flow_)); // including the word
	}

	void expect_packet_untracked(uint64_t now_ns)
	{
		tcpwin_counters before = kernel_->counters();
		kernel_->run_at(packet_, now_ns);
		tcpwin_counters after = kernel_->counters();
		EXPECT_EQ(after.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED],
			  before.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED] + 1);
		EXPECT_EQ(after.value[TCPWIN_COUNTER_TRACKED], before.value[TCPWIN_COUNTER_TRACKED]);
		EXPECT_EQ(after.value[TCPWIN_COUNTER_FLOWS_CREATED], before.value[TCPWIN_COUNTER_FLOWS_CREATED]);
		EXPECT_THAT(kernel_->drain().records, IsEmpty());
	}

	tcpwin_sweep sweep(uint32_t shutdown)
	{
		tcpwin_sweep argument = {};
		argument.now_ns = long_after;
		argument.shutdown = shutdown;
		return kernel_->sweep(argument);
	}

	const Bytes packet_ = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(40000, 80, TCPWIN_FLAG_ACK).bytes();
	const tcpwin_key key_ = parse(packet_).key;
	tcpwin_flow flow_ = {};
	std::optional<Kernel> kernel_;
};

TEST_F(OwnershipTest, APacketGivesUpOnAnEntryThatStaysBusy)
{
	set_seq(seq_of(key_, Mark::busy));
	expect_packet_untracked(start + 1);
	expect_packet_untracked(long_after); // even if expired
	expect_untouched();
}

TEST_F(OwnershipTest, ASweepLeavesABusyEntryAlone)
{
	set_seq(seq_of(key_, Mark::busy));
	for (uint32_t shutdown : {0u, 1u}) {
		tcpwin_sweep result = sweep(shutdown);
		EXPECT_EQ(result.exported, 0u);
		EXPECT_EQ(result.deleted, 0u);
		EXPECT_EQ(result.remaining, 1u);
	}
	expect_untouched();
	EXPECT_THAT(kernel_->drain().records, IsEmpty());
}

TEST_F(OwnershipTest, APacketDoesNotTouchADyingEntry)
{
	set_seq(seq_of(key_, Mark::dying));
	expect_packet_untracked(start + 1);
	expect_packet_untracked(long_after);
	expect_untouched();
}

// Whoever made it DYING is about to delete it.
TEST_F(OwnershipTest, ASweepLeavesADyingEntryToItsOwner)
{
	set_seq(seq_of(key_, Mark::dying));
	tcpwin_sweep result = sweep(0);
	EXPECT_EQ(result.exported, 0u);
	EXPECT_EQ(result.deleted, 0u);
	expect_untouched();
	EXPECT_THAT(kernel_->drain().records, IsEmpty());
}

// As seen by a packet that looked up an entry just before it was deleted and reused for another key.
TEST_F(OwnershipTest, APacketDoesNotTouchAnEntryOfAnotherKey)
{
	tcpwin_key other = key_;
	other.port[0]++;
	for (Mark mark : {Mark::free, Mark::busy, Mark::ended, Mark::dying}) {
		set_seq(seq_of(other, mark));
		expect_packet_untracked(start + 1);
		expect_packet_untracked(long_after);
		expect_untouched();
	}
}

} // namespace
} // namespace tcpwin::test
