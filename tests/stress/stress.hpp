// SPDX-License-Identifier: Apache-2.0
//
// A veth pair with tcpwin_xdp in native mode on one end, senders of live frames,
// each on its own CPU, and the accounts: every packet that entered the program is
// in a record, in a flow that is still in the table, or in a named counter.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "kernel/kernel.hpp"
#include "kernel/ledger.hpp"
#include "support/live_frames.hpp"

namespace tcpwin::test {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

inline constexpr uint64_t forever = 3600 * second;
inline constexpr uint64_t packets_per_chunk = 100'000; // between two checks of a sender

inline tcpwin_address mapped(uint32_t address)
{
	tcpwin_address v6 = {};
	v6.byte[10] = v6.byte[11] = 0xff;
	for (int i = 0; i < 4; i++)
		v6.byte[12 + i] = static_cast<uint8_t>(address >> (24 - 8 * i));
	return v6;
}

// A flow of the generator, as the program under test should see it.
inline Stream live_stream_of(uint32_t flow, bool from_server, bool stalls)
{
	tcpwin_packet packet = {};
	packet.source = mapped(from_server ? LIVE_SERVER_ADDRESS : live_client_address(flow));
	packet.destination = mapped(from_server ? live_client_address(flow) : LIVE_SERVER_ADDRESS);
	packet.source_port = from_server ? LIVE_SERVER_PORT : live_client_port(flow);
	packet.destination_port = from_server ? live_client_port(flow) : LIVE_SERVER_PORT;
	Stream stream;
	const tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	stream.from = tcpwin_make_key(&packet, &config, &stream.key);
	stream.bytes = live_total_length(flow, from_server);
	stream.window = live_window(flow, from_server, stalls);
	return stream;
}

inline std::vector<Stream> live_streams(uint32_t flows, bool stalls)
{
	std::vector<Stream> streams;
	streams.reserve(2 * flows);
	for (uint32_t flow = 0; flow < flows; flow++)
		for (bool from_server : {false, true})
			streams.push_back(live_stream_of(flow, from_server, stalls));
	return streams;
}

class StressTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped() && usable_cpus().size() < 2)
			GTEST_SKIP() << "needs two CPUs";
	}

	void TearDown() override
	{
		if (link_)
			bpf_link__destroy(link_);
	}

	// One sender per traffic; they differ in side or in flows.
	void watch(KernelSetup setup, std::vector<live_traffic> traffics, Threshold threshold = Threshold::one)
	{
		cpus_ = usable_cpus();
		cpus_.resize(traffics.size());
		setup.clock = Clock::live;
		kernel_.emplace(setup);
		pair_.emplace(static_cast<unsigned>(cpus_.back()) + 1); // one queue per CPU
		link_ = pair_->inside([&] {
			return bpf_program__attach_xdp(kernel_->xdp_program(), static_cast<int>(pair_->watched()));
		});
		ASSERT_NE(link_, nullptr) << "cannot attach: " << errno;
		uint32_t flows = 0;
		for (live_traffic &traffic : traffics) {
			traffic.device = pair_->sender();
			traffic.count = 1;
			flows = std::max(flows, traffic.first_flow + traffic.flows);
			senders_.push_back(std::make_unique<LiveSender>(traffic));
		}
		streams_ = live_streams(flows, traffics[0].stalls);
		ledger_.emplace(streams_, threshold);
	}

	// Each sender sends at least this many packets, and continues while hold_ is set. meanwhile() runs in a loop.
	template <typename Meanwhile> void send(uint64_t packets, Meanwhile meanwhile)
	{
		const auto start = Steady::now();
		std::vector<std::future<void>> running;
		for (size_t i = 0; i < senders_.size(); i++)
			running.push_back(
				std::async(std::launch::async, [this, i, packets] { send_from(i, packets); }));
		for (auto &each : running)
			while (each.wait_for(0s) != std::future_status::ready)
				meanwhile();
		for (auto &each : running)
			each.get();
		seconds_ = std::chrono::duration<double>(Steady::now() - start).count();
		wait_for_packets();
	}

	tcpwin_sweep sweep(uint64_t linger_ns, bool shutdown = false)
	{
		tcpwin_sweep argument = {};
		argument.now_ns = TCPWIN_CLOCK_NOW;
		argument.linger_ns = linger_ns;
		argument.shutdown = shutdown;
		argument.examine = !shutdown;
		tcpwin_sweep result = kernel_->sweep(argument);
		sweeps_.add(result);
		return result;
	}

	Drained drain()
	{
		Drained drained = kernel_->drain();
		ledger_->add(drained);
		notices_.insert(notices_.end(), drained.notices.begin(), drained.notices.end());
		return drained;
	}

	// Like the agent: at intervals, and at once if the table is reported full.
	void sweep_as_the_agent()
	{
		const bool full = !drain().notices.empty();
		if (full || Steady::now() >= next_sweep_) {
			sweep(full ? 0 : 2 * second);
			early_sweeps_ += full;
			next_sweep_ = Steady::now() + 100ms;
		}
	}

	void end_all_flows()
	{
		tcpwin_sweep swept = {};
		do {
			swept = sweep(0, true);
			drain();
		} while (swept.ring_full);
		EXPECT_EQ(swept.remaining, 0u);
	}

	uint64_t counter(tcpwin_counter which) const { return kernel_->counter(which); }
	uint64_t untracked() const
	{
		return counter(TCPWIN_COUNTER_UNTRACKED_FULL) + counter(TCPWIN_COUNTER_UNTRACKED_CONTENDED);
	}

	PerStream sent() const
	{
		PerStream sent(streams_.size());
		for (const auto &sender : senders_) {
			const PerStream by = sender->sent_by_stream();
			for (size_t i = 0; i < by.size(); i++)
				sent[2 * sender->traffic().first_flow + i] += by[i];
		}
		return sent;
	}

	// The invariant, which holds when no packets arrive.
	void expect_every_packet_once()
	{
		const VethStatistics veth = pair_->statistics();
		const tcpwin_counters counters = kernel_->counters();
		const PerStream sent = this->sent();
		PerStream held = ledger_->packets(); // by records and by flows in the table
		uint64_t impossible = 0, rejected = 0;
		for (const auto &[key, flow] : kernel_->flows())
			if (mark_of(flow) == Mark::free)
				impossible += !ledger_->count(key, flow, held);
		for (int i = TCPWIN_COUNTER_NOT_IP; i < TCPWIN_COUNTER_COUNT; i++)
			rejected += counters.value[i];

		const uint64_t unrecorded = counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS];
		EXPECT_EQ(veth.entered, sum(held) + unrecorded + untracked());
		EXPECT_EQ(counters.value[TCPWIN_COUNTER_TRACKED], sum(held) + unrecorded);
		EXPECT_EQ(rejected, 0u) << "all frames are TCP packets";
		EXPECT_EQ(impossible, 0u) << "inconsistent flows in the table";
		EXPECT_EQ(ledger_->inconsistent(), 0u) << ledger_->first_inconsistent();
		expect_near(held, sent, untracked() + unrecorded + veth.lost);
	}

	// Each stream has the packets that were sent, except those in no flow.
	static void expect_near(const PerStream &held, const PerStream &sent, uint64_t missing)
	{
		uint64_t more = 0, less = 0;
		for (size_t i = 0; i < sent.size(); i++) {
			more += held[i] > sent[i];
			less += held[i] + missing < sent[i];
		}
		EXPECT_EQ(more, 0u) << "streams with packets of other streams";
		EXPECT_EQ(less, 0u) << "streams that lack packets";
	}

	// Checks the accounts before and after the end of all flows.
	void settle()
	{
		drain();
		expect_every_packet_once();
		end_all_flows();
		expect_every_packet_once();
		expect_every_flow_once(*kernel_, *ledger_, sweeps_);
		print_numbers();
	}

	void print_numbers() const
	{
		const VethStatistics veth = pair_->statistics();
		const tcpwin_counters counters = kernel_->counters();
		std::cout << "entered " << veth.entered << " in " << seconds_ << " s, lost on the way " << veth.lost
			  << ", records hold " << sum(ledger_->packets());
		for (int i = 0; i < TCPWIN_COUNTER_NOT_IP; i++)
			std::cout << ", " << name_of(i) << ' ' << counters.value[i];
		std::cout << ", peak " << counters.peak_flows << "\nrecords " << ledger_->records() << ", notices "
			  << ledger_->notices() << ", sweeps " << sweeps_.count << " (early " << early_sweeps_
			  << "), exported " << sweeps_.exported << ", deleted " << sweeps_.deleted
			  << ", stopped by the ring buffer " << sweeps_.ring_full << '\n';
	}

	std::optional<Kernel> kernel_;
	std::optional<VethPair> pair_;
	bpf_link *link_ = nullptr;
	std::vector<int> cpus_;
	std::vector<std::unique_ptr<LiveSender>> senders_;
	std::vector<Stream> streams_; // by live_stream()
	std::optional<Ledger> ledger_;
	std::vector<tcpwin_table_full> notices_;
	Sweeps sweeps_;
	uint64_t early_sweeps_ = 0;
	std::atomic<bool> hold_ = false;
	double seconds_ = 0;

private:
	void send_from(size_t i, uint64_t packets)
	{
		pin_to(cpus_[i]);
		pair_->network().enter();
		LiveSender &sender = *senders_[i];
		while (sender.sent() < packets || hold_)
			sender.send(packets_per_chunk);
	}

	// The last batch may still be in a queue for ksoftirqd.
	void wait_for_packets()
	{
		uint64_t sent = 0;
		for (const auto &sender : senders_)
			sent += sender->sent();
		const auto end = Steady::now() + 60s;
		VethStatistics veth = pair_->statistics();
		while (veth.entered + veth.lost < sent && Steady::now() < end) {
			std::this_thread::sleep_for(1ms);
			veth = pair_->statistics();
		}
		ASSERT_EQ(veth.entered + veth.lost, sent) << "frames that are neither lost nor seen";
	}

	Steady::time_point next_sweep_ = Steady::now();
};

} // namespace tcpwin::test
