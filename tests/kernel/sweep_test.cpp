// SPDX-License-Identifier: Apache-2.0
//
// How flows end: by the sweep, by a packet, at shutdown; and what happens when
// the ring buffer or the table is full. The test sets the time of every packet.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint8_t syn = TCPWIN_FLAG_SYN;
constexpr uint8_t ack = TCPWIN_FLAG_ACK;
constexpr uint64_t start = 100 * second;
constexpr uint64_t bgn = 2200 * millisecond; // the default timeouts
constexpr uint64_t est = 1000 * millisecond;
constexpr uint64_t abrt = millisecond;
constexpr uint64_t forever = 3600 * second; // as linger_ns
constexpr uint32_t small_ring = 4096;
constexpr size_t small_ring_records = small_ring / (sizeof(tcpwin_record) + 8); // each has a header of the kernel

// Frames from client number n to the server, and back.
Bytes from_client(uint16_t n, uint8_t flags = ack, uint16_t window = 64240, uint32_t seq = 1, size_t payload = 0)
{
	auto port = static_cast<uint16_t>(40000 + n);
	Frame frame = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2");
	return frame.tcp(port, 80, flags, {.window = window, .seq = seq}).payload(payload).bytes();
}

Bytes from_server(uint16_t n, uint8_t flags = ack, uint16_t window = 64240)
{
	auto port = static_cast<uint16_t>(40000 + n);
	return Frame().ethernet().ipv4("10.0.0.2", "10.0.0.1").tcp(80, port, flags, {.window = window}).bytes();
}

tcpwin_key key_of_client(uint16_t n)
{
	return parse(from_client(n)).key;
}

tcpwin_sweep sweep_at(uint64_t now_ns, uint64_t linger_ns = forever)
{
	tcpwin_sweep sweep = {};
	sweep.now_ns = now_ns;
	sweep.linger_ns = linger_ns;
	return sweep;
}

tcpwin_sweep shutdown_at(uint64_t now_ns)
{
	tcpwin_sweep sweep = sweep_at(now_ns);
	sweep.shutdown = 1;
	return sweep;
}

std::vector<uint64_t> ids(const std::vector<tcpwin_record> &records)
{
	std::vector<uint64_t> ids;
	for (const tcpwin_record &record : records)
		ids.push_back(record.flow.id);
	std::ranges::sort(ids);
	return ids;
}

class SweepTest : public KernelTest {
protected:
	Kernel &load(const KernelSetup &setup = {})
	{
		kernel_.emplace(setup);
		return *kernel_;
	}

	// Sweeps and drains until a sweep is not stopped by the ring buffer.
	std::vector<tcpwin_record> sweep_all(const tcpwin_sweep &argument)
	{
		std::vector<tcpwin_record> all;
		tcpwin_sweep result = {};
		do {
			result = kernel_->sweep(argument);
			auto records = kernel_->drain().records;
			EXPECT_EQ(records.size(), result.exported);
			all.insert(all.end(), records.begin(), records.end());
		} while (result.ring_full && result.exported > 0);
		EXPECT_FALSE(result.ring_full) << "sweeping makes no progress";
		return all;
	}

	std::optional<Kernel> kernel_;
};

TEST_F(SweepTest, EndsOnlyFlowsIdleInEveryDirection)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1, syn), start);
	kernel.run_at(from_server(1, syn | ack), start + second); // also 2.2 s from here
	uint64_t end = start + second + bgn;

	EXPECT_EQ(kernel.sweep(sweep_at(start + bgn)).exported, 0u); // the client is idle, the server is not
	EXPECT_EQ(kernel.sweep(sweep_at(end - 1)).exported, 0u);
	EXPECT_THAT(kernel.drain().records, IsEmpty());

	EXPECT_EQ(kernel.sweep(sweep_at(end)).exported, 1u);
	auto records = kernel.drain().records;
	ASSERT_THAT(records, SizeIs(1));
	tcpwin_key key = key_of_client(1);
	EXPECT_EQ(std::memcmp(&records[0].key, &key, sizeof(key)), 0);
	EXPECT_EQ(records[0].reason, TCPWIN_END_IDLE_TIMEOUT);
	EXPECT_EQ(records[0].now_ns, end);
	EXPECT_EQ(records[0].flow.id, 1u);
	EXPECT_EQ(records[0].flow.ifindex, loopback);
	EXPECT_EQ(records[0].flow.direction[0].packets, 1u);
	EXPECT_EQ(records[0].flow.direction[1].packets, 1u);
	EXPECT_EQ(records[0].flow.direction[1].last_ns, start + second);
}

TEST_F(SweepTest, LeavesOtherFlowsAlone)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);
	kernel.run_at(from_client(2), start + 1);

	tcpwin_sweep result = kernel.sweep(sweep_at(start + est));
	EXPECT_EQ(result.exported, 1u);
	EXPECT_EQ(result.deleted, 0u);
	EXPECT_EQ(result.remaining, 2u);
	EXPECT_EQ(mark_of(kernel.flow(key_of_client(1)).value()), Mark::ended);
	EXPECT_EQ(mark_of(kernel.flow(key_of_client(2)).value()), Mark::free);
	EXPECT_EQ(kernel.live_flows(), 1u);
}

TEST_F(SweepTest, ReportsWhenTheNextFlowExpires)
{
	Kernel &kernel = load();
	EXPECT_EQ(kernel.sweep(sweep_at(start)).due_ns, never);
	kernel.run_at(from_client(1), start);
	kernel.run_at(from_client(2), start + second / 2);
	EXPECT_EQ(kernel.sweep(sweep_at(start + second / 2)).due_ns, start + est);
}

TEST_F(SweepTest, ExaminesBothDirectionsOnlyIfTheLatestMayHaveExpired)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1, syn), start);
	kernel.run_at(from_server(1), start + 8); // has a timeout of 1 s, the client one of 2.2 s
	EXPECT_EQ(kernel.sweep(sweep_at(start + 8)).due_ns, start + 8 + est);
	EXPECT_EQ(kernel.sweep(sweep_at(start + 8 + est)).due_ns, start + bgn);
	EXPECT_EQ(kernel.sweep(sweep_at(start + bgn - 1)).exported, 0u);
	EXPECT_EQ(kernel.sweep(sweep_at(start + bgn)).exported, 1u);
}

TEST_F(SweepTest, ReportsHowLongAnEndedEntryLingers)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est, 5 * second)).due_ns, start + est + 5 * second);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est + 5 * second, 5 * second)).due_ns, never);
}

TEST_F(SweepTest, IsDueImmediatelyIfItStoppedEarly)
{
	Kernel &kernel = load({.records = small_ring});
	for (uint16_t n = 0; n <= small_ring_records; n++)
		kernel.run_at(from_client(n), start);
	tcpwin_sweep result = kernel.sweep(sweep_at(start + est));
	EXPECT_TRUE(result.ring_full);
	EXPECT_EQ(result.due_ns, 0u);
}

TEST_F(SweepTest, PacketsNoteWhatIsDueEarlierThanTheSweepSaw)
{
	Kernel &kernel = load();
	EXPECT_EQ(kernel.due_ns(), 0u); // unknown before the first sweep
	kernel.sweep(sweep_at(start));
	EXPECT_EQ(kernel.due_ns(), never);
	kernel.run_at(from_client(1, syn), start); // a flow begins
	EXPECT_EQ(kernel.due_ns(), start + bgn);

	kernel.sweep(sweep_at(start));
	kernel.run_at(from_client(1, ack, 64240, 2, 100), start + 1); // is established
	EXPECT_EQ(kernel.due_ns(), start + 1 + est);

	kernel.sweep(sweep_at(start + 1));
	kernel.run_at(from_client(1, ack, 64240, 102, 100), start + 2); // only continues
	EXPECT_EQ(kernel.due_ns(), never);
	kernel.run_at(from_client(1, ack, 0), start + 3);
	kernel.run_at(from_client(1, ack, 0), start + 4); // is aborted
	EXPECT_EQ(kernel.due_ns(), start + 4 + abrt);

	kernel.sweep(sweep_at(start + 4));
	kernel.run_at(from_client(1), start + 4 + abrt); // is cut, and another begins
	EXPECT_EQ(kernel.due_ns(), start + 4 + abrt + est);

	kernel.sweep(sweep_at(start + second + second));
	kernel.run_at(from_client(1, syn), start + 3 * second); // begins again in its ended entry
	EXPECT_EQ(kernel.due_ns(), start + 3 * second + bgn);
}

TEST_F(SweepTest, ExportsAnEndedFlowOnce)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);

	EXPECT_EQ(kernel.sweep(sweep_at(start + est)).exported, 1u);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est)).exported, 0u);
	EXPECT_EQ(kernel.sweep(shutdown_at(start + est)).exported, 0u);
	EXPECT_THAT(kernel.drain().records, SizeIs(1));
}

TEST_F(SweepTest, NamesTheTimeoutOfAbortedFlows)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1, ack, 0), start);
	kernel.run_at(from_client(1, ack, 0), start); // the second zero window aborts

	EXPECT_EQ(kernel.sweep(sweep_at(start + abrt - 1)).exported, 0u);
	EXPECT_EQ(kernel.sweep(sweep_at(start + abrt)).exported, 1u);
	auto records = kernel.drain().records;
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].reason, TCPWIN_END_ABORT_TIMEOUT);
}

TEST_F(SweepTest, TheNextPacketReusesAnEndedEntry)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1, syn, 0), start);
	kernel.run_at(from_client(2), start + bgn);
	kernel.sweep(sweep_at(start + bgn));
	kernel.run_at(from_server(1), start + bgn + 1);

	tcpwin_flow flow = kernel.flow(key_of_client(1)).value();
	EXPECT_EQ(mark_of(flow), Mark::free);
	EXPECT_EQ(flow.id, 3u);
	EXPECT_EQ(flow.direction[0].packets, 0u); // nothing is left of the first flow
	EXPECT_EQ(flow.direction[0].zero_window_count, 0u);
	EXPECT_EQ(flow.direction[1].packets, 1u);
	EXPECT_EQ(flow.direction[1].first_ns, start + bgn + 1);
	EXPECT_THAT(kernel.flows(), SizeIs(2));
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CREATED), 3u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CUT), 0u);
	EXPECT_EQ(kernel.live_flows(), 2u);
}

TEST_F(SweepTest, DeletesEntriesThatHaveLingered)
{
	Kernel &kernel = load();
	constexpr uint64_t linger = 2 * second;
	kernel.run_at(from_client(1), start);
	kernel.sweep(sweep_at(start + est, linger));

	EXPECT_EQ(kernel.sweep(sweep_at(start + est + linger - 1, linger)).deleted, 0u);
	EXPECT_THAT(kernel.flows(), SizeIs(1));
	tcpwin_sweep last = kernel.sweep(sweep_at(start + est + linger, linger));
	EXPECT_EQ(last.deleted, 1u);
	EXPECT_EQ(last.remaining, 0u);
	EXPECT_THAT(kernel.flows(), IsEmpty());
	EXPECT_THAT(kernel.drain().records, SizeIs(1));
}

TEST_F(SweepTest, DeletesImmediatelyWithoutLinger)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);

	tcpwin_sweep result = kernel.sweep(sweep_at(start + est, 0));
	EXPECT_EQ(result.exported, 1u);
	EXPECT_EQ(result.deleted, 1u);
	EXPECT_THAT(kernel.flows(), IsEmpty());
	EXPECT_THAT(kernel.drain().records, SizeIs(1));
}

TEST_F(SweepTest, ShutdownExportsAllAndEmptiesTheTable)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start); // expires
	kernel.run_at(from_client(2, ack, 0), start);
	kernel.run_at(from_client(2, ack, 0), start); // expires, aborted
	kernel.run_at(from_client(3, syn), start);    // alive
	kernel.run_at(from_client(4), start + 1);     // alive
	tcpwin_sweep result = kernel.sweep(shutdown_at(start + est));

	EXPECT_EQ(result.exported, 4u);
	EXPECT_EQ(result.deleted, 4u);
	EXPECT_EQ(result.remaining, 0u);
	std::map<uint64_t, int> reasons;
	for (const tcpwin_record &record : kernel.drain().records)
		reasons[record.flow.id] = record.reason;
	EXPECT_THAT(reasons, ElementsAre(std::pair(1, TCPWIN_END_IDLE_TIMEOUT), std::pair(2, TCPWIN_END_ABORT_TIMEOUT),
					 std::pair(3, TCPWIN_END_SHUTDOWN), std::pair(4, TCPWIN_END_SHUTDOWN)));
	EXPECT_THAT(kernel.flows(), IsEmpty());
	EXPECT_EQ(kernel.live_flows(), 0u);
}

TEST_F(SweepTest, ShutdownDeletesEndedEntriesWithoutASecondRecord)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);
	kernel.sweep(sweep_at(start + est));
	tcpwin_sweep result = kernel.sweep(shutdown_at(start + est + 1));

	EXPECT_EQ(result.exported, 0u);
	EXPECT_EQ(result.deleted, 1u);
	EXPECT_THAT(kernel.drain().records, SizeIs(1));
}

TEST_F(SweepTest, StopsAtAFullRingBufferAndContinuesAfterIt)
{
	Kernel &kernel = load({.records = small_ring});
	constexpr uint16_t flows = 100;
	std::vector<uint64_t> all_ids;
	for (uint16_t i = 0; i < flows; i++) {
		kernel.run_at(from_client(i), start);
		kernel.run_at(from_server(i), start);
		all_ids.push_back(i + 1u);
	}
	tcpwin_sweep first = kernel.sweep(sweep_at(start + est));
	EXPECT_EQ(first.ring_full, 1u);
	EXPECT_EQ(first.exported, small_ring_records);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est)).exported, 0u); // nothing has been read

	auto records = kernel.drain().records;
	auto more = sweep_all(sweep_at(start + est));
	records.insert(records.end(), more.begin(), more.end());
	EXPECT_EQ(ids(records), all_ids);
	EXPECT_EQ(packets(records), 2u * flows);
	EXPECT_EQ(kernel.live_flows(), 0u);
}

TEST_F(SweepTest, ShutdownThroughASmallRingBufferEmptiesTheTable)
{
	Kernel &kernel = load({.records = small_ring});
	constexpr uint16_t flows = 100;
	std::vector<uint64_t> all_ids;
	for (uint16_t i = 0; i < flows; i++) {
		kernel.run_at(from_client(i), start);
		all_ids.push_back(i + 1u);
	}
	EXPECT_EQ(ids(sweep_all(shutdown_at(start))), all_ids);
	EXPECT_THAT(kernel.flows(), IsEmpty());
}

TEST_F(SweepTest, APacketCutsTheFlowThatItFindsExpired)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);
	kernel.run_at(from_client(1), start + est - 1);
	kernel.run_at(from_server(1), start + 2 * est - 1); // exactly the timeout later

	auto records = kernel.drain().records;
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].flow.id, 1u);
	EXPECT_EQ(packets(records[0].flow), 2u);
	EXPECT_EQ(records[0].now_ns, start + 2 * est - 1);
	EXPECT_EQ(records[0].reason, TCPWIN_END_IDLE_TIMEOUT);
	tcpwin_flow flow = kernel.flow(key_of_client(1)).value();
	EXPECT_EQ(flow.id, 2u);
	EXPECT_EQ(packets(flow), 1u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CUT), 1u);
	EXPECT_EQ(kernel.live_flows(), 1u);
}

TEST_F(SweepTest, ACutIsDeferredWhileTheRingBufferIsFull)
{
	Kernel &kernel = load({.records = small_ring});
	for (uint16_t i = 1; i <= small_ring_records; i++)
		kernel.run_at(from_client(i), start);
	kernel.run_at(from_client(0), start + 1);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est)).exported, small_ring_records); // all but the last

	kernel.run_at(from_client(0), start + 10 * second);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_DEFERRED_CUTS), 1u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CUT), 0u);
	tcpwin_flow flow = kernel.flow(key_of_client(0)).value();
	EXPECT_EQ(flow.id, small_ring_records + 1);
	EXPECT_EQ(packets(flow), 2u);
	EXPECT_EQ(flow.direction[parse(from_client(0)).from].last_ns, start + 10 * second);

	EXPECT_THAT(kernel.drain().records, SizeIs(small_ring_records));
	kernel.run_at(from_client(0), start + 20 * second);
	auto records = kernel.drain().records;
	ASSERT_THAT(records, SizeIs(1));
	EXPECT_EQ(records[0].flow.id, small_ring_records + 1);
	EXPECT_EQ(packets(records[0].flow), 2u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CUT), 1u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_TRACKED), small_ring_records + 3);
}

TEST_F(SweepTest, AnEndedEntryIsReusedWhileTheRingBufferIsFull)
{
	Kernel &kernel = load({.records = small_ring});
	for (uint16_t i = 1; i <= small_ring_records; i++)
		kernel.run_at(from_client(i), start);
	kernel.sweep(sweep_at(start + est));

	kernel.run_at(from_client(1), start + 10 * second);
	EXPECT_EQ(kernel.flow(key_of_client(1)).value().id, small_ring_records + 1);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_DEFERRED_CUTS), 0u);
}

// Each flow has a packet of either side, so that no other flow takes its place.
void answer(Kernel &kernel, uint16_t clients, uint64_t now)
{
	for (uint16_t i = 1; i <= clients; i++) {
		kernel.run_at(from_client(i), now);
		kernel.run_at(from_server(i), now);
	}
}

TEST_F(SweepTest, PacketsOfAFullTableAreCountedAndTheAgentIsNotified)
{
	Kernel &kernel = load({.flows = 4});
	answer(kernel, 4, start);
	kernel.run_at(from_client(5), start);
	kernel.run_at(from_client(6), start);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_TRACKED), 8u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FULL), 2u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FLOWS), 2u);
	EXPECT_THAT(kernel.flows(), SizeIs(4));

	Drained drained = kernel.drain();
	EXPECT_THAT(drained.records, IsEmpty());
	ASSERT_THAT(drained.notices, SizeIs(1)); // not one per packet
	EXPECT_EQ(drained.notices[0].now_ns, start);

	kernel.run_at(from_client(7), start + 10 * millisecond - 1);
	EXPECT_THAT(kernel.drain().notices, IsEmpty());
	kernel.run_at(from_client(7), start + 10 * millisecond);
	EXPECT_THAT(kernel.drain().notices, SizeIs(1));
	kernel.run_at(from_client(7), start + 10 * millisecond - 1); // of a CPU that read the clock before
	EXPECT_THAT(kernel.drain().notices, IsEmpty());
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FULL), 5u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FLOWS), 3u) << "the third one came three times";
}

TEST_F(SweepTest, AFullTableLeavesNoGapsInTheNumbersOfFlows)
{
	Kernel &kernel = load({.flows = 4});
	answer(kernel, 4, start);
	kernel.run_at(from_client(5), start);
	kernel.run_at(from_client(6), start);
	EXPECT_EQ(kernel.flows_numbered(), 4u);
	EXPECT_EQ(ids(sweep_all(sweep_at(start + est, 0))), (std::vector<uint64_t>{1, 2, 3, 4}));

	kernel.run_at(from_client(6), start + est); // there is room now
	EXPECT_EQ(kernel.flow(key_of_client(6)).value().id, 5u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CREATED), 5u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FULL), 2u);
}

TEST_F(SweepTest, KnownFlowsContinueInAFullTable)
{
	Kernel &kernel = load({.flows = 2});
	answer(kernel, 2, start);
	kernel.run_at(from_client(3), start);
	kernel.run_at(from_server(1), start + 1);          // known
	kernel.run_at(from_client(2), start + 2 * second); // expired: cut in place
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_TRACKED), 6u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FULL), 1u);
	EXPECT_EQ(kernel.flow(key_of_client(2)).value().id, 3u);
}

TEST_F(SweepTest, ANewFlowTakesThePlaceOfTheOldestUnansweredOne)
{
	Kernel &kernel = load({.flows = 4});
	answer(kernel, 1, start);
	for (uint16_t n : {2, 3, 4, 2, 5, 6})
		kernel.run_at(from_client(n, syn), start + n);
	EXPECT_TRUE(kernel.flow(key_of_client(1))) << "the oldest one, but answered";
	EXPECT_FALSE(kernel.flow(key_of_client(2)));
	EXPECT_FALSE(kernel.flow(key_of_client(3)));
	EXPECT_EQ(kernel.flow(key_of_client(6)).value().id, 6u);
	EXPECT_EQ(kernel.live_flows(), 4u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_EVICTED_UNANSWERED), 2u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);

	const auto records = kernel.drain().records;
	ASSERT_THAT(records, SizeIs(2));
	EXPECT_EQ(records[0].flow.id, 2u);
	EXPECT_EQ(records[0].reason, TCPWIN_END_EVICTED);
	EXPECT_EQ(records[0].now_ns, start + 5);
	EXPECT_EQ(packets(records[0].flow), 2u);
	EXPECT_EQ(records[1].flow.id, 3u);
}

TEST_F(SweepTest, AnEntryWhoseFlowHasEndedIsEvictedWithoutAnotherRecord)
{
	Kernel &kernel = load({.flows = 2});
	answer(kernel, 2, start);
	EXPECT_THAT(sweep_all(sweep_at(start + est)), SizeIs(2));
	kernel.run_at(from_client(3), start + est);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_EVICTED_ENDED), 1u);
	EXPECT_THAT(kernel.drain().records, IsEmpty());
	EXPECT_FALSE(kernel.flow(key_of_client(1)));
	EXPECT_EQ(kernel.flow(key_of_client(3)).value().id, 3u);
	EXPECT_EQ(kernel.live_flows(), 1u);
}

// The other half is for records of other flows, and for alarms.
TEST_F(SweepTest, EvictedFlowsLeaveHalfOfTheRingBuffer)
{
	Kernel &kernel = load({.flows = 2, .records = small_ring});
	for (uint16_t i = 1; i <= 20; i++)
		kernel.run_at(from_client(i, syn), start);
	const uint64_t evicted = kernel.counter(TCPWIN_COUNTER_EVICTED_UNANSWERED);
	const uint64_t unrecorded = kernel.counter(TCPWIN_COUNTER_UNRECORDED_FLOWS);
	const auto records = kernel.drain().records.size();
	EXPECT_EQ(evicted, 18u);
	EXPECT_EQ(records + unrecorded, evicted);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_UNRECORDED_PACKETS), unrecorded);
	EXPECT_GT(records, small_ring_records / 2 - 1);
	EXPECT_LE(records, small_ring_records / 2 + 1);
}

// With the timeouts of the tutorial a SYN lives for 2.2 s.
TEST_F(SweepTest, UnderPressureUnansweredFlowsEndEarly)
{
	Kernel &kernel = load({.flows = 10});
	kernel.config().pressure = 50;
	kernel.config().unanswered_ns = 100 * millisecond;
	answer(kernel, 1, start);
	for (uint16_t n : {2, 3, 4})
		kernel.run_at(from_client(n, syn), start);
	tcpwin_sweep examine = sweep_at(start + 200 * millisecond);
	examine.examine = 1;
	EXPECT_THAT(sweep_all(examine), IsEmpty()) << "four of ten are no pressure";

	kernel.run_at(from_client(5, syn), start + 150 * millisecond);
	const auto records = sweep_all(examine);
	EXPECT_EQ(ids(records), (std::vector<uint64_t>{2, 3, 4}));
	for (const tcpwin_record &record : records)
		EXPECT_EQ(record.reason, TCPWIN_END_UNANSWERED_TIMEOUT);
	EXPECT_THAT(kernel.flows(), SizeIs(2)) << "nothing lingers under pressure";
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_EVICTED_UNANSWERED), 0u);
}

TEST_F(SweepTest, ChangedTimeoutsApplyToLivingFlows)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1), start);
	kernel.config().timeout_ns[TCPWIN_TIMEOUT_EST] = est / 4;
	EXPECT_EQ(kernel.sweep(sweep_at(start + est / 4 - 1)).exported, 0u);
	EXPECT_EQ(kernel.sweep(sweep_at(start + est / 4)).exported, 1u);

	kernel.run_at(from_client(2), start);
	kernel.config().timeout_ns[TCPWIN_TIMEOUT_EST] = 4 * est;
	kernel.run_at(from_client(2), start + 3 * est);
	EXPECT_EQ(packets(kernel.flow(key_of_client(2)).value()), 2u);

	kernel.config().timeout_ns[TCPWIN_TIMEOUT_EST] = est / 2;
	kernel.run_at(from_client(2), start + 3 * est + est / 2);
	EXPECT_EQ(packets(kernel.flow(key_of_client(2)).value()), 1u);
	EXPECT_EQ(kernel.counter(TCPWIN_COUNTER_FLOWS_CUT), 1u);
}

TEST_F(SweepTest, ChangedWindowLimitsApplyToLivingFlows)
{
	Kernel &kernel = load();
	kernel.run_at(from_client(1, ack, 999), start);
	kernel.config().window_threshold = 1000;
	kernel.config().abort_count = 1;
	kernel.run_at(from_client(1, ack, 999), start);

	tcpwin_direction direction = kernel.flow(key_of_client(1)).value().direction[0];
	EXPECT_EQ(direction.zero_window_count, 1u);
	EXPECT_EQ(direction.state, TCPWIN_STATE_ABRT);
}

TEST_F(SweepTest, PeakFlowsIsTheLargestNumberOfLiveFlows)
{
	Kernel &kernel = load();
	for (uint16_t i = 1; i <= 3; i++)
		kernel.run_at(from_client(i), start);
	EXPECT_EQ(kernel.counters().peak_flows, 3u);

	kernel.sweep(sweep_at(start + est));
	kernel.run_at(from_client(1), start + est);     // entry reused
	kernel.run_at(from_client(4), start + est);     // new
	kernel.run_at(from_client(4), start + 2 * est); // cut: one ends, one begins
	EXPECT_EQ(kernel.live_flows(), 2u);
	EXPECT_EQ(kernel.counters().peak_flows, 3u);

	kernel.run_at(from_client(2), start + 2 * est);
	kernel.run_at(from_client(5), start + 2 * est);
	EXPECT_EQ(kernel.counters().peak_flows, 4u);
}

TEST_F(SweepTest, WithoutATimeReadsTheClock)
{
	Kernel &kernel = load({.clock = Clock::live});
	uint64_t before = boottime_ns();
	Bytes frame = from_client(1);
	kernel.run_live(frame, 1);
	tcpwin_sweep result = kernel.sweep(sweep_at(TCPWIN_CLOCK_NOW));

	tcpwin_direction direction = kernel.flow(key_of_client(1)).value().direction[0];
	EXPECT_GE(direction.first_ns, before);
	EXPECT_GE(result.now_ns, direction.first_ns);
	EXPECT_LT(result.now_ns, before + 60 * second);
}

} // namespace
} // namespace tcpwin::test
