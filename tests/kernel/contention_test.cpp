// SPDX-License-Identifier: Apache-2.0
//
// Two CPUs send packets of the same few flows as fast as they can, timeouts are
// shorter than a system call, and a third thread sweeps and drains without a
// pause. Every packet must be in exactly one record or one counter.
//
// Each direction of a flow has a frame length and a window of its own, so a
// record in which the packets of two flows were mixed, or which was copied while
// it changed, gives itself away.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <iostream>
#include <stop_token>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "traffic.hpp"

namespace tcpwin::test {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr uint64_t packets_per_sender = 1'500'000;
constexpr uint64_t largest_batch = 10'000; // each takes milliseconds: the kernel patches itself for a repeated run
constexpr uint64_t sweep_ahead_ns = 150'000; // above all timeouts
constexpr uint64_t forever = 3600 * second;
constexpr auto time_limit = 20s; // a sender stops then, whatever it has sent

// A small table, so that sweeps of it are short and many.
struct Contest {
	KernelSetup setup;
	uint16_t keys;
	uint64_t linger_ns;
	bool end_all = false; // let every other sweep end all flows, and delete them
};

// What one endpoint of one key sends: frames of different flags, else alike.
struct Stream {
	tcpwin_key key = {};
	uint32_t sender = 0;
	uint64_t bytes = 0; // of each packet
	uint16_t window = 0;
	std::vector<Bytes> frames;
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
	stream.sender = parsed.sender;
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

std::vector<int> usable_cpus()
{
	cpu_set_t set;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	std::vector<int> cpus;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus.push_back(cpu);
	return cpus;
}

void pin_to(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (int error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		throw std::system_error(error, std::generic_category(), "pin a thread");
}

using PerStream = std::vector<uint64_t>; // packets of each stream

uint64_t sum(const PerStream &packets)
{
	uint64_t sum = 0;
	for (uint64_t each : packets)
		sum += each;
	return sum;
}

// What the records said, taken together.
class Ledger {
public:
	explicit Ledger(const std::vector<Stream> &streams) : streams_(streams), packets_(streams.size()) {}

	void add(const Drained &drained)
	{
		for (const tcpwin_record &record : drained.records)
			add(record);
		notices_ += drained.notices.size();
		strangers_ += drained.strangers;
	}

	const PerStream &packets() const { return packets_; }
	uint64_t records() const { return records_; }
	uint64_t notices() const { return notices_; }
	uint64_t strangers() const { return strangers_; }
	uint64_t inconsistent() const { return inconsistent_; }
	const std::string &first_inconsistent() const { return first_inconsistent_; }

	// Whether the flows of all records are numbered 1, 2, 3 ..., each once.
	bool is_gapless() const
	{
		for (uint64_t id = 1; id <= records_; id++)
			if (id >= seen_.size() || seen_[id] != 1)
				return false;
		return true;
	}

private:
	void add(const tcpwin_record &record)
	{
		uint64_t id = record.flow.id;
		records_++;
		if (id >= seen_.size())
			seen_.resize(2 * id + 1);
		seen_[id]++;
		bool known = false, consistent = test::packets(record.flow) > 0;
		for (size_t i = 0; i < streams_.size(); i++) {
			if (std::memcmp(&streams_[i].key, &record.key, sizeof(record.key)) != 0)
				continue;
			const tcpwin_direction &direction = record.flow.direction[streams_[i].sender];
			known = true;
			consistent = consistent && is_consistent(streams_[i], direction);
			packets_[i] += direction.packets;
		}
		if (!(known && consistent) && inconsistent_++ == 0)
			first_inconsistent_ = text(record);
	}

	static bool is_consistent(const Stream &stream, const tcpwin_direction &direction)
	{
		uint64_t packets = direction.packets;
		uint16_t window = packets ? stream.window : 0;
		return direction.bytes == packets * stream.bytes && direction.window_min == window &&
		       direction.window_max == window && direction.window_last == window &&
		       direction.zero_window_count == (stream.window == 0 ? packets : 0) &&
		       direction.first_ns <= direction.last_ns && (packets > 0) == (direction.last_ns > 0);
	}

	const std::vector<Stream> &streams_;
	PerStream packets_;
	std::vector<uint8_t> seen_;
	uint64_t records_ = 0;
	uint64_t notices_ = 0;
	uint64_t strangers_ = 0;
	uint64_t inconsistent_ = 0;
	std::string first_inconsistent_;
};

struct Sweeps {
	uint64_t count = 0;
	uint64_t exported = 0;
	uint64_t deleted = 0;
	uint64_t ring_full = 0;

	void add(const tcpwin_sweep &sweep)
	{
		count++;
		exported += sweep.exported;
		deleted += sweep.deleted;
		ring_full += sweep.ring_full;
	}
};

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

	PerStream send(int cpu)
	{
		pin_to(cpu);
		Random random(static_cast<uint64_t>(cpu));
		std::vector<Stream> streams = streams_;
		PerStream sent(streams.size());
		const auto end = Steady::now() + time_limit;
		for (uint64_t all = 0; all < packets_per_sender && Steady::now() < end;) {
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
		ledger_->add(kernel_->drain());
		ring_full_ = result.ring_full;
	}

	// By turns at the clock's time and at a later one, which ends flows in the middle of their packets.
	void sweep_until(const std::stop_token &stop)
	{
		while (!stop.stop_requested()) {
			sweep(TCPWIN_CLOCK_NOW, 0);
			sweep(boottime_ns() + sweep_ahead_ns, contest_.end_all);
		}
	}

	// Sends from two CPUs and sweeps; then ends every flow that is left.
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
		EXPECT_EQ(sum(sent_), recorded + untracked);
		EXPECT_EQ(recorded, counters.value[TCPWIN_COUNTER_TRACKED]);
		for (int i = TCPWIN_COUNTER_NOT_IP; i < TCPWIN_COUNTER_COUNT; i++)
			EXPECT_EQ(counters.value[i], 0u) << name_of(i);
		for (size_t i = 0; i < sent_.size(); i++) {
			EXPECT_LE(ledger_->packets()[i], sent_[i]) << "stream " << i;
			EXPECT_GE(ledger_->packets()[i] + untracked, sent_[i]) << "stream " << i;
		}
	}

	void expect_every_flow_once()
	{
		tcpwin_counters counters = kernel_->counters();
		EXPECT_EQ(ledger_->records(), counters.value[TCPWIN_COUNTER_FLOWS_CREATED]);
		EXPECT_EQ(ledger_->records(), counters.value[TCPWIN_COUNTER_FLOWS_CUT] + sweeps_.exported);
		EXPECT_EQ(ledger_->records(), kernel_->flows_numbered());
		EXPECT_TRUE(ledger_->is_gapless()) << "a number is missing, or there twice";
		EXPECT_EQ(ledger_->inconsistent(), 0u) << ledger_->first_inconsistent();
		EXPECT_EQ(ledger_->strangers(), 0u);
		EXPECT_TRUE(kernel_->flows().empty());
		EXPECT_EQ(kernel_->live_flows(), 0u);
		// One more than there are: the sweep ends a flow before it counts that, a packet may revive it between.
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
		expect_every_flow_once();
	}

	Contest contest_ = {};
	std::optional<Kernel> kernel_;
	std::vector<Stream> streams_;
	std::optional<Ledger> ledger_;
	Sweeps sweeps_;
	PerStream sent_;
	double seconds_ = 0;
	bool ring_full_ = false;
};

// Nothing is deleted here, and who misses the first try waits for its turn: hardly a packet gets nowhere.
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
	EXPECT_GT(counter(TCPWIN_COUNTER_UNTRACKED_FULL), 0u);
	EXPECT_GT(ledger_->notices(), 0u);
}

// No bound to untracked packets here: four lookups may take less time than the deletion of an entry that is DYING.
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
	// Who fails does not leave the other one waiting.
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
			while (arrived_ < 2 * (i + 1)) // a spin, so that both leave it at once
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
	uint64_t contended = counters.value[TCPWIN_COUNTER_UNTRACKED_CONTENDED]; // the host stopped the owner's CPU
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
