// SPDX-License-Identifier: Apache-2.0
//
// Provokes races between sweeps and packets. A table of few entries is swept in
// two microseconds, and every sweep ends all flows, while two CPUs send a packet
// every tenth of a microsecond. So in nearly every sweep a packet arrives between
// the copy of a flow and its end.
//
// BPF objects that lack one protection each (tests/stress/unprotected/*.sed) show
// that the races really happen: with each of them the accounts are soon wrong,
// with the real object they never are.
#include <atomic>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include "kernel/kernel.hpp"
#include "kernel/ledger.hpp"
#include "support/cpus.hpp"
#include "support/live_traffic.h"

namespace tcpwin::test {
namespace {

constexpr uint64_t rounds = 150;               // with the real object
constexpr uint64_t unprotected_rounds = 1000;  // at most; a few suffice unless other processes delay one of the CPUs
constexpr uint32_t packets_per_round = 20'000; // per CPU, of one stream
constexpr uint64_t forever = 3600 * second;
constexpr int last_sweeps = 1000; // more than any table takes

enum class Entries { stay, go }; // after their flows have ended

struct Scene {
	uint16_t keys;
	uint32_t table;
	Entries entries;
};

Bytes frame_of(uint16_t key, bool from_server)
{
	const char *client = "10.0.0.1", *server = "10.0.0.2";
	const auto port = static_cast<uint16_t>(20000 + key);
	Frame frame;
	frame.ethernet().ipv4(from_server ? server : client, from_server ? client : server);
	frame.tcp(from_server ? 80 : port, from_server ? port : 80, TCPWIN_FLAG_ACK,
		  {.window = static_cast<uint16_t>(1000 + key)});
	return frame.payload(2u * key + from_server).bytes();
}

std::vector<Stream> make_streams(uint16_t keys)
{
	std::vector<Stream> streams;
	for (uint16_t key = 0; key < keys; key++)
		for (bool from_server : {false, true}) {
			Stream stream;
			stream.frames.push_back(frame_of(key, from_server));
			const Parsed parsed = parse(stream.frames[0]);
			stream.key = parsed.key;
			stream.from = parsed.from;
			stream.bytes = parsed.packet.bytes;
			stream.window = parsed.packet.window;
			streams.push_back(std::move(stream));
		}
	return streams;
}

class RaceTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped() && usable_cpus().size() < 2)
			GTEST_SKIP() << "needs two CPUs";
	}

	// The first round after which the accounts were wrong, or 0. object: a directory of TCPWIN_UNPROTECTED; empty for the real one.
	uint64_t first_error(const Scene &scene, const std::string &object = {})
	{
		scene_ = scene;
		kernel_.emplace(
			KernelSetup{.flows = scene.table,
				    .records = 1 << 22,
				    .clock = Clock::live,
				    .object = object.empty() ? "" : TCPWIN_UNPROTECTED "/" + object + "/tcpwin.bpf.o"});
		streams_ = make_streams(scene.keys);
		ledger_.emplace(streams_);
		const uint64_t last = object.empty() ? rounds : unprotected_rounds;
		uint64_t round = 1;
		while (round <= last && run_round(round))
			round++;
		std::cout << (object.empty() ? "ours" : object) << ": " << sweeps_.count << " sweeps, "
			  << sweeps_.exported << " flows ended, " << sweeps_.deleted << " entries deleted, sent "
			  << sent_ << ", recorded " << sum(ledger_->packets()) << ", untracked " << untracked()
			  << ", inconsistent " << ledger_->inconsistent() << ", round " << round << '\n';
		return round > last ? 0 : round;
	}

private:
	void sweep(bool shutdown)
	{
		tcpwin_sweep argument = {};
		argument.now_ns = boottime_ns() + forever;
		argument.linger_ns = forever;
		argument.shutdown = shutdown;
		swept_ = kernel_->sweep(argument);
		sweeps_.add(swept_);
		ledger_->add(kernel_->drain());
	}

	void send(int cpu, size_t stream)
	{
		pin_to(cpu);
		Bytes frame = streams_[stream].frames[0];
		kernel_->run_live(frame, packets_per_round);
	}

	// Returns whether the accounts are right afterwards. The CPUs send the same flow or different flows, alternating by round.
	bool run_round(uint64_t round)
	{
		const std::vector<int> cpus = usable_cpus();
		const size_t one = round % streams_.size(), other = (round / 2 * 2 + 1) % streams_.size();
		std::future<void> running[] = {
			std::async(std::launch::async, [&] { send(cpus[0], one); }),
			std::async(std::launch::async, [&] { send(cpus[1], other); }),
		};
		for (auto &each : running)
			while (each.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
				sweep(scene_.entries == Entries::go);
		for (auto &each : running)
			each.get();
		sent_ += 2 * packets_per_round;
		for (int i = 0; i == 0 || (i < last_sweeps && swept_.remaining > 0); i++)
			sweep(true);
		return is_right();
	}

	bool is_right() const
	{
		const tcpwin_counters counters = kernel_->counters();
		const uint64_t unrecorded = counters.value[TCPWIN_COUNTER_UNRECORDED_FLOWS];
		return sent_ == sum(ledger_->packets()) + untracked() +
					counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS] &&
		       ledger_->inconsistent() == 0 &&
		       ledger_->records() + unrecorded == counters.value[TCPWIN_COUNTER_FLOWS_CREATED] &&
		       ledger_->is_gapless(unrecorded) && swept_.remaining == 0 && kernel_->live_flows() == 0;
	}

	uint64_t untracked() const
	{
		const tcpwin_counters counters = kernel_->counters();
		return counters.value[TCPWIN_COUNTER_UNTRACKED_FULL] +
		       counters.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED];
	}

	Scene scene_ = {};
	std::optional<Kernel> kernel_;
	std::vector<Stream> streams_;
	std::optional<Ledger> ledger_;
	Sweeps sweeps_;
	tcpwin_sweep swept_ = {};
	uint64_t sent_ = 0;
};

constexpr Scene one_flow_ends = {.keys = 1, .table = 4, .entries = Entries::stay};
constexpr Scene one_entry_goes = {.keys = 1, .table = 4, .entries = Entries::go};
constexpr Scene entries_change_hands = {.keys = 6, .table = 2, .entries = Entries::go};

TEST_F(RaceTest, NoPacketIsLostWhenAFlowEndsWhileItsPacketsArrive)
{
	EXPECT_EQ(first_error(one_flow_ends), 0u);
}

TEST_F(RaceTest, WithoutTheSweepsCompareAndSwapPacketsAreLost)
{
	EXPECT_GT(first_error(one_flow_ends, "sweep_stores"), 0u) << "the race did not happen";
}

TEST_F(RaceTest, WithoutTheLockPacketsAreLost)
{
	EXPECT_GT(first_error(one_flow_ends, "packets_own_nothing"), 0u) << "the race did not happen";
}

TEST_F(RaceTest, NoPacketIsLostWhenAnEntryIsDeletedWhileItsPacketsArrive)
{
	EXPECT_EQ(first_error(one_entry_goes), 0u);
}

TEST_F(RaceTest, WithoutTheDeletionsCompareAndSwapPacketsAreLost)
{
	EXPECT_GT(first_error(one_entry_goes, "deletion_stores"), 0u) << "the race did not happen";
}

// Two CPUs cannot show that this fails without the hash of the key: one would have to delete the entry and fill it
// again while the other holds its pointer. tests/kernel/ownership_test.cpp writes such an entry itself.
TEST_F(RaceTest, NoPacketIsLostWhenEntriesAreReusedWhilePacketsArrive)
{
	EXPECT_EQ(first_error(entries_change_hands), 0u);
}

} // namespace
} // namespace tcpwin::test
