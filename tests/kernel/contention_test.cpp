// SPDX-License-Identifier: Apache-2.0
//
// Two CPUs send packets of the same few flows as fast as they can, timeouts are
// shorter than a system call, and a third thread sweeps and drains without
// pause. Every packet must be in exactly one record or one counter.
//
// Each direction of a flow has its own frame length and window, so that a record
// in which the packets of two flows were mixed, or which was copied while it
// changed, is detected.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "kernel.hpp"
#include "ledger.hpp"
#include "support/cpus.hpp"
#include "traffic.hpp"

namespace tcpwin::test {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr uint64_t packets_per_sender = 1'500'000;
constexpr uint64_t largest_batch = 10'000;   // each takes milliseconds: the kernel patches itself for a repeated run
constexpr uint64_t sweep_ahead_ns = 150'000; // above all timeouts
constexpr uint64_t forever = 3600 * second;
constexpr auto time_limit = 20s; // after this a sender stops, however much it has sent

// A small table, so that sweeps are short and frequent.
struct Contest {
	KernelSetup setup;
	uint16_t keys;
	uint64_t linger_ns;
	bool end_all = false; // let every other sweep end all flows, and delete them
};

Stream make_stream(uint16_t key, bool from_server)
{
	static constexpr uint8_t flags[] = {TCPWIN_FLAG_ACK, TCPWIN_FLAG_ACK, TCPWIN_FLAG_SYN,
					    TCPWIN_FLAG_ACK | TCPWIN_FLAG_FIN};
	const auto port = static_cast<uint16_t>(20000 + key);
	Stream stream;
	stream.window = key % 2 || from_server ? static_cast<uint16_t>(1000 + key) : 0;
	for (uint8_t each : flags) {
		Frame frame;
		frame.ethernet().ipv4(from_server ? "10.0.0.2" : "10.0.0.1", from_server ? "10.0.0.1" : "10.0.0.2");
		frame.tcp(from_server ? 80 : port, from_server ? port : 80, each, {.window = stream.window});
		stream.frames.push_back(frame.payload(2u * (key % 64) + from_server).bytes());
	}
	Parsed parsed = parse(stream.frames[0]);
	stream.key = parsed.key;
	stream.from = parsed.from;
	stream.bytes = parsed.packet.bytes;
	return stream;
}

std::vector<Stream> make_streams(uint16_t keys)
{
	std::vector<Stream> streams;
	for (uint16_t key = 0; key < keys; key++)
		for (bool from_server : {false, true})
			streams.push_back(make_stream(key, from_server));
	return streams;
}

class ContentionTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped() && usable_cpus().size() < 2)
			GTEST_SKIP() << "needs two CPUs";
	}

	void load(const Contest &contest)
	{
		contest_ = contest;
		contest_.setup.clock = Clock::live;
		kernel_.emplace(contest_.setup);
		kernel_->config().timeout_ns[TCPWIN_TIMEOUT_NEW] = 100'000;
		kernel_->config().timeout_ns[TCPWIN_TIMEOUT_BGN] = 20'000;
		kernel_->config().timeout_ns[TCPWIN_TIMEOUT_EST] = 1'000;
		kernel_->config().timeout_ns[TCPWIN_TIMEOUT_ABRT] = 200;
		streams_ = make_streams(contest_.keys);
		ledger_.emplace(streams_);
	}

	// Whether sweeps ended flows and deleted entries while packets came: the senders may leave them little time.
	bool has_swept() const
	{
		return exported_ > contest_.keys && (contest_.linger_ns == forever || deleted_ > contest_.keys);
	}

	PerStream send(int cpu)
	{
		pin_to(cpu);
		Random random(static_cast<uint64_t>(cpu));
		std::vector<Stream> streams = streams_;
		PerStream sent(streams.size());
		const auto end = Steady::now() + time_limit;
		for (uint64_t all = 0; all < packets_per_sender && Steady::now() < end;) {
			if (!has_swept())
				std::this_thread::sleep_for(1ms);
			size_t i = random.below(streams.size());
			auto repeat = static_cast<uint32_t>(1 + random.below(largest_batch));
			kernel_->run_live(streams[i].frames[random.below(streams[i].frames.size())], repeat);
			sent[i] += repeat;
			all += repeat;
		}
		return sent;
	}

	void sweep(uint64_t now_ns, uint32_t shutdown)
	{
		tcpwin_sweep argument = {};
		argument.now_ns = now_ns;
		argument.linger_ns = contest_.linger_ns;
		argument.shutdown = shutdown;
		tcpwin_sweep result = kernel_->sweep(argument);
		sweeps_.add(result);
		exported_ += result.exported;
		deleted_ += result.deleted;
		ledger_->add(kernel_->drain());
		ring_full_ = result.ring_full;
	}

	// Alternately at the clock's time and at a later one, which ends flows in the middle of their packets.
	void sweep_until(const std::stop_token &stop)
	{
		while (!stop.stop_requested()) {
			sweep(TCPWIN_CLOCK_NOW, 0);
			sweep(boottime_ns() + sweep_ahead_ns, contest_.end_all);
		}
	}

	// Sends from two CPUs and sweeps; then ends every remaining flow.
	void run()
	{
		const auto start = Steady::now();
		std::vector<int> cpus = usable_cpus();
		std::stop_source stop;
		auto sweeper = std::async(std::launch::async, [&] { sweep_until(stop.get_token()); });
		auto one = std::async(std::launch::async, [&] { return send(cpus[0]); });
		auto other = std::async(std::launch::async, [&] { return send(cpus[1]); });
		one.wait();
		other.wait();
		stop.request_stop();
		sweeper.get();
		sent_ = one.get();
		PerStream more = other.get();
		for (size_t i = 0; i < sent_.size(); i++)
			sent_[i] += more[i];
		seconds_ = std::chrono::duration<double>(Steady::now() - start).count();
		do
			sweep(TCPWIN_CLOCK_NOW, 1);
		while (ring_full_);
	}

	void expect_every_packet_once()
	{
		tcpwin_counters counters = kernel_->counters();
		uint64_t recorded = sum(ledger_->packets());
		uint64_t untracked = counters.value[TCPWIN_COUNTER_UNTRACKED_FULL] +
				     counters.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED];
		EXPECT_GE(sum(sent_), 2'000'000u) << "too slow to prove anything";
		const uint64_t unrecorded = counters.value[TCPWIN_COUNTER_UNRECORDED_PACKETS];
		EXPECT_EQ(sum(sent_), recorded + unrecorded + untracked);
		EXPECT_EQ(recorded + unrecorded, counters.value[TCPWIN_COUNTER_TRACKED]);
		for (int i = TCPWIN_COUNTER_NOT_IP; i < TCPWIN_COUNTER_COUNT; i++)
			EXPECT_EQ(counters.value[i], 0u) << name_of(i);
		for (size_t i = 0; i < sent_.size(); i++) {
			EXPECT_LE(ledger_->packets()[i], sent_[i]) << "stream " << i;
			EXPECT_GE(ledger_->packets()[i] + unrecorded + untracked, sent_[i]) << "stream " << i;
		}
	}

	void expect_all_kinds_of_ends()
	{
		const tcpwin_counters counters = kernel_->counters();
		// One more than the table holds: the sweep ends a flow before it counts that, and a packet may reuse the entry in between.
		EXPECT_LE(counters.peak_flows, contest_.keys + 1u);
		EXPECT_GT(counters.value[TCPWIN_COUNTER_FLOWS_CUT], 0u) << "no flow was cut";
		EXPECT_GT(sweeps_.exported, contest_.keys) << "no flow was ended by a sweep";
		if (contest_.linger_ns != forever) {
			EXPECT_GT(sweeps_.deleted, contest_.keys) << "no entry was deleted while packets came";
		}
	}

	void print_numbers() const
	{
		tcpwin_counters counters = kernel_->counters();
		std::cout << "sent " << sum(sent_) << " in " << seconds_ << " s, records hold "
			  << sum(ledger_->packets());
		for (int i = 0; i < TCPWIN_COUNTER_NOT_IP; i++)
			std::cout << ", " << name_of(i) << ' ' << counters.value[i];
		std::cout << ", peak " << counters.peak_flows << "\nrecords " << ledger_->records() << ", notices "
			  << ledger_->notices() << ", sweeps " << sweeps_.count << ", exported " << sweeps_.exported
			  << ", deleted " << sweeps_.deleted << ", stopped by the ring buffer " << sweeps_.ring_full
			  << '\n';
	}

	uint64_t counter(tcpwin_counter which) const { return kernel_->counter(which); }

	void hold(const Contest &contest)
	{
		load(contest);
		run();
		print_numbers();
		expect_every_packet_once();
		expect_every_flow_once(*kernel_, *ledger_, sweeps_);
		expect_all_kinds_of_ends();
	}

	Contest contest_ = {};
	std::optional<Kernel> kernel_;
	std::vector<Stream> streams_;
	std::optional<Ledger> ledger_;
	std::atomic<uint64_t> exported_ = 0, deleted_ = 0; // as in sweeps_
	Sweeps sweeps_;
	PerStream sent_;
	double seconds_ = 0;
	bool ring_full_ = false;
};

// Nothing is deleted here, and a packet that cannot lock the flow retries: hardly any packet is untracked.
TEST_F(ContentionTest, OneFlowOnTwoCpus)
{
	hold({.setup = {.flows = 16, .records = 1 << 24}, .keys = 1, .linger_ns = forever});
	EXPECT_LT(counter(TCPWIN_COUNTER_UNTRACKED_CONTENDED), sum(sent_) / 1000);
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
}

TEST_F(ContentionTest, AFewFlows)
{
	hold({.setup = {.flows = 16, .records = 1 << 24}, .keys = 8, .linger_ns = 200'000});
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
}

TEST_F(ContentionTest, MoreFlowsThanTheTableHolds)
{
	hold({.setup = {.flows = 4, .records = 1 << 24}, .keys = 12, .linger_ns = 0});
	EXPECT_GT(counter(TCPWIN_COUNTER_EVICTED_UNANSWERED), 0u);
	EXPECT_GT(ledger_->notices(), 0u);
}

// No limit for untracked packets here: all lookups together may take less time than the deletion of a DYING entry.
TEST_F(ContentionTest, EntriesComeAndGo)
{
	hold({.setup = {.flows = 16, .records = 1 << 24}, .keys = 1, .linger_ns = 0, .end_all = true});
	EXPECT_EQ(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
}

TEST_F(ContentionTest, ASmallRingBuffer)
{
	hold({.setup = {.flows = 16, .records = 1 << 12}, .keys = 8, .linger_ns = 100'000});
	EXPECT_GT(counter(TCPWIN_COUNTER_DEFERRED_CUTS), 0u);
}

// Two CPUs that send the first packet of a flow at the same moment, flow after flow.
class CreationRace {
public:
	static constexpr uint64_t flows = 30'000;

	explicit CreationRace(Kernel &kernel) : kernel_(kernel) {}

	void run(const std::vector<int> &cpus)
	{
		auto one = std::async(std::launch::async, [&] { send_or_release(cpus[0]); });
		auto other = std::async(std::launch::async, [&] { send_or_release(cpus[1]); });
		one.wait();
		other.wait();
		one.get();
		other.get();
	}

private:
	// If one thread fails, the other does not wait for it.
	void send_or_release(int cpu)
	try {
		send(cpu);
	} catch (...) {
		arrived_ = 3 * flows;
		throw;
	}

	void send(int cpu)
	{
		pin_to(cpu);
		for (uint64_t i = 0; i < flows; i++) {
			Bytes frame = make_stream(static_cast<uint16_t>(i), false).frames[0];
			arrived_++;
			while (arrived_ < 2 * (i + 1)) // spins, so that both continue at the same time
				;
			kernel_.run_live(frame, 1);
		}
	}

	Kernel &kernel_;
	std::atomic<uint64_t> arrived_ = 0;
};

TEST_F(ContentionTest, TwoCpusBeginTheSameFlow)
{
	Kernel kernel({.flows = 1 << 16, .clock = Clock::live});
	kernel.config().timeout_ns[TCPWIN_TIMEOUT_EST] = forever;
	CreationRace(kernel).run(usable_cpus());

	tcpwin_counters counters = kernel.counters();
	uint64_t contended = counters.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED]; // the host stopped the holder's CPU
	uint64_t recorded = 0;
	Flows flows = kernel.flows();
	for (const auto &[key, flow] : flows)
		recorded += packets(flow);
	EXPECT_EQ(flows.size(), CreationRace::flows);
	EXPECT_EQ(kernel.flows_numbered(), CreationRace::flows);
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_FLOWS_CREATED], CreationRace::flows);
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_UNTRACKED_FULL], 0u);
	EXPECT_EQ(counters.value[TCPWIN_COUNTER_TRACKED], recorded);
	EXPECT_EQ(recorded + contended, 2 * CreationRace::flows);
	EXPECT_LT(contended, CreationRace::flows / 1000);
}

} // namespace
} // namespace tcpwin::test
