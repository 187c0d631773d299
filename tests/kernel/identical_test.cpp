// SPDX-License-Identifier: Apache-2.0
//
// Random traffic through the kernel programs and through a model in user space
// made of the same headers. After every packet the entry of its key is the same
// in both, byte for byte; so is, at intervals, the whole table, and every record.
//
// TCPWIN_SEED repeats a run.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "model.hpp"
#include "traffic.hpp"

namespace tcpwin::test {
namespace {

constexpr int steps = 200'000;

uint64_t seed_of_this_run()
{
	const char *given = std::getenv("TCPWIN_SEED");
	return given ? std::strtoull(given, nullptr, 0) : std::random_device()();
}

class IdenticalTest : public KernelTest {
protected:
	void SetUp() override
	{
		KernelTest::SetUp();
		if (!IsSkipped())
			kernel_.emplace(KernelSetup{.flows = 1 << 14, .records = 1 << 24});
	}

	void send_packet()
	{
		Bytes frame = traffic_.frame(model_.config());
		Parsed parsed = parse(frame, model_.config());
		now_ = time_of_packet(parsed);
		kernel_->run_at(frame, now_);
		model_.packet(frame, now_);
		if (parsed.reject == TCPWIN_ACCEPTED)
			expect_same_entry(parsed.key);
	}

	// Mostly tiny steps, so that flows live long; sometimes to the edge of a timeout, or back.
	uint64_t time_of_packet(const Parsed &parsed)
	{
		if (random_.below(300) == 0)
			calm_ = !calm_;
		if (calm_)
			return now_ + random_.below(1000);
		auto entry = model_.entries().find(parsed.key);
		if (entry != model_.entries().end() && random_.chance(8))
			return around(model_.expires_at(entry->second));
		if (random_.chance(3))
			return now_ - std::min(now_ - 1, random_.below(2 * second));
		if (random_.chance(6))
			return around(now_ + model_.config().timeout_ns[timeout_class()]);
		return now_ + random_.below(random_.chance(10) ? millisecond : 1000);
	}

	size_t timeout_class()
	{
		static const std::vector<size_t> classes = {TCPWIN_TIMEOUT_NEW, TCPWIN_TIMEOUT_BGN, TCPWIN_TIMEOUT_EST,
							    TCPWIN_TIMEOUT_ABRT, TCPWIN_TIMEOUT_ABRT};
		return random_.one_of(classes);
	}

	// 0 would read the clock.
	uint64_t around(uint64_t edge) { return std::max<uint64_t>(edge + random_.below(3), 2) - 1; }

	void sweep()
	{
		static const std::vector<uint64_t> lingers = {0, 1, millisecond, second, 2 * second, 20 * second};
		tcpwin_sweep argument = {};
		argument.linger_ns = random_.one_of(lingers);
		argument.now_ns = time_of_sweep(argument.linger_ns);
		argument.shutdown = random_.below(50) == 0;
		bool due = argument.now_ns >= std::min(due_ns_, kernel_->due_ns());
		tcpwin_sweep kernel = kernel_->sweep(argument), model = model_.sweep(argument);
		ASSERT_EQ(kernel.ring_full, 0u);
		ASSERT_EQ(kernel.exported, model.exported);
		ASSERT_EQ(kernel.interim, model.interim);
		interim_ += model.interim;
		ASSERT_EQ(kernel.deleted, model.deleted);
		ASSERT_EQ(kernel.remaining, model.remaining);
		ASSERT_TRUE(due || argument.shutdown || kernel.exported + kernel.interim == 0) << "without need";
		ASSERT_EQ(kernel.due_ns, model_.due_ns(argument.now_ns, argument.linger_ns));
		ASSERT_EQ(kernel_->due_ns(), never);
		due_ns_ = kernel.due_ns;
	}

	uint64_t time_of_sweep(uint64_t linger)
	{
		const Model::Entries &entries = model_.entries();
		if (calm_ || entries.empty() || random_.chance(40))
			return now_;
		auto any = std::next(entries.begin(), static_cast<std::ptrdiff_t>(random_.below(entries.size())));
		return around(model_.expires_at(any->second) + (random_.chance(50) ? linger : 0));
	}

	void change_config()
	{
		tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
		for (__u64 &timeout : config.timeout_ns)
			if (random_.chance(30))
				timeout = 1 + random_.below(3 * second);
		static const std::vector<uint32_t> thresholds = {0, 1, 1, 2, 1000, 65536};
		config.window_threshold = random_.one_of(thresholds);
		config.abort_count = static_cast<uint32_t>(random_.below(4));
		config.on_threshold = static_cast<__u8>(random_.below(3));
		config.rules = static_cast<__u8>(random_.below(64));
		config.stalled_ns = random_.chance(50) ? random_.below(10 * second) : 0;
		config.stall_alarm_ns = random_.chance(70) ? random_.below(second) : 0;
		config.limited_alarm_ns = random_.chance(70) ? random_.below(second) : 0;
		config.source_alarm = static_cast<uint32_t>(random_.below(4));
		config.active_s = static_cast<uint32_t>(random_.below(4));
		kernel_->config() = config;
		model_.set_config(config);
		due_ns_ = 0;
	}

	void expect_same_entry(const tcpwin_key &key)
	{
		auto flow = kernel_->flow(key);
		ASSERT_TRUE(flow) << "no entry of that key";
		expect_same_entry(key, *flow, model_.entries().at(key));
	}

	static void expect_same_entry(const tcpwin_key &key, const tcpwin_flow &kernel, const Model::Entry &model)
	{
		ASSERT_TRUE(same(kernel, model.flow));
		ASSERT_EQ(kernel.seq >> 32, tcpwin_hash_key(&key));
		ASSERT_EQ(mark_of(kernel), model.ended ? Mark::ended : Mark::free);
	}

	void expect_same_table()
	{
		Flows flows = kernel_->flows();
		ASSERT_EQ(flows.size(), model_.entries().size());
		for (const auto &[key, entry] : model_.entries()) {
			ASSERT_TRUE(flows.contains(key)) << "the kernel lacks " << text(entry.flow);
			ASSERT_NO_FATAL_FAILURE(expect_same_entry(key, flows.at(key), entry));
		}
	}

	// The records since the last time. A sweep writes them in the order of its table.
	void expect_same_records()
	{
		Drained kernel = kernel_->drain();
		std::vector<tcpwin_record> model = model_.take_records();
		std::ranges::stable_sort(kernel.records, {},
					 [](const tcpwin_record &record) { return record.flow.id; });
		std::ranges::stable_sort(model, {}, [](const tcpwin_record &record) { return record.flow.id; });
		ASSERT_EQ(kernel.records.size(), model.size());
		for (size_t i = 0; i < model.size(); i++)
			ASSERT_TRUE(same(kernel.records[i], model[i]));
		for (const tcpwin_record &record : model)
			longest_ = std::max(longest_, packets(record.flow));
		ASSERT_EQ(kernel.notices.size() + kernel.strangers, 0u);
		const std::vector<tcpwin_alarm> alarms = model_.take_alarms();
		ASSERT_EQ(kernel.alarms.size(), alarms.size());
		for (size_t i = 0; i < alarms.size(); i++) {
			ASSERT_EQ(std::memcmp(&kernel.alarms[i], &alarms[i], sizeof(alarms[i])), 0) << "alarm " << i;
			for (__u8 raised : alarms[i].raised)
				for (unsigned bit = 0; bit < alarm_kinds; bit++)
					alarms_[bit] += raised >> bit & 1;
		}
		records_ += model.size();
	}

	void expect_same_counters()
	{
		tcpwin_counters kernel = kernel_->counters();
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			EXPECT_EQ(kernel.value[i], model_.counters().value[i]) << name_of(i);
		EXPECT_EQ(kernel.peak_flows, model_.counters().peak_flows);
		EXPECT_EQ(kernel_->live_flows(), model_.live_flows());
		EXPECT_EQ(kernel_->flows_numbered(), kernel.value[TCPWIN_COUNTER_FLOWS_CREATED]);
	}

	// Traffic that never increments a counter proves nothing about it.
	void expect_traffic_of_every_kind()
	{
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++) {
			bool needs_stress =
				i == TCPWIN_COUNTER_UNTRACKED_FULL || i == TCPWIN_COUNTER_UNTRACKED_FLOWS ||
				i == TCPWIN_COUNTER_EVICTED_UNANSWERED || i == TCPWIN_COUNTER_EVICTED_ENDED ||
				i == TCPWIN_COUNTER_UNRECORDED_FLOWS || i == TCPWIN_COUNTER_UNRECORDED_PACKETS ||
				i == TCPWIN_COUNTER_UNTRACKED_CONTENDED || i == TCPWIN_COUNTER_DEFERRED_CUTS ||
				i == TCPWIN_COUNTER_FORWARDED || // tc only
				i == TCPWIN_COUNTER_PACKETS_UNREPORTED || i == TCPWIN_COUNTER_ALARMS_UNREPORTED;
			EXPECT_TRUE(needs_stress || model_.counters().value[i] > 100) << name_of(i);
		}
		EXPECT_GT(longest_, 30u);
		EXPECT_GT(interim_, 100u);
		for (size_t n : alarms_)
			EXPECT_GT(n, 20u);
	}

	void print_counters() const
	{
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			if (model_.counters().value[i])
				std::cout << name_of(i) << ' ' << model_.counters().value[i] << ", ";
		std::cout << "alarms " << alarms_[0] << '+' << alarms_[1] << '+' << alarms_[2] << ", interim "
			  << interim_ << ", records " << records_ << ", packets of the longest flow " << longest_
			  << '\n';
	}

	void step(int number)
	{
		if (random_.below(40) == 0) {
			ASSERT_NO_FATAL_FAILURE(sweep());
		}
		if (random_.below(2000) == 0)
			change_config();
		ASSERT_NO_FATAL_FAILURE(send_packet());
		if (number % 64 == 0) {
			ASSERT_NO_FATAL_FAILURE(expect_same_records());
		}
		if (number % 256 == 0) {
			ASSERT_NO_FATAL_FAILURE(expect_same_table());
		}
	}

	const uint64_t seed_ = seed_of_this_run();
	Random random_{seed_};
	Traffic traffic_{random_};
	std::optional<Kernel> kernel_;
	Model model_;
	uint64_t due_ns_ = 0; // by the last sweep
	uint64_t now_ = second;
	bool calm_ = true;
	size_t records_ = 0;
	static constexpr unsigned alarm_kinds = 3;
	size_t alarms_[alarm_kinds] = {};
	size_t interim_ = 0;
	uint64_t longest_ = 0;
};

TEST_F(IdenticalTest, KernelAndUserSpaceAgreeOnRandomTraffic)
{
	std::cout << "TCPWIN_SEED=" << seed_ << '\n';
	SCOPED_TRACE("TCPWIN_SEED=" + std::to_string(seed_));

	for (int i = 1; i <= steps; i++)
		ASSERT_NO_FATAL_FAILURE(step(i)) << "packet " << i << " at " << now_;

	ASSERT_NO_FATAL_FAILURE(expect_same_records());
	ASSERT_NO_FATAL_FAILURE(expect_same_table());
	expect_same_counters();
	expect_traffic_of_every_kind();
	print_counters();
}

} // namespace
} // namespace tcpwin::test
