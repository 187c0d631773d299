// SPDX-License-Identifier: Apache-2.0
//
// The cost of one packet and one sweep in the kernel: test runs of the production
// programs and of smaller ones (packet_cost.bpf.c), alternately. Prints nanoseconds
// per packet (sweep: per flow), all rounds of each, as JSON.
#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "support/cpus.hpp"

namespace {

using namespace tcpwin::bench;

constexpr uint32_t million = 1 << 20;
constexpr uint32_t fresh_flows = 100'000;
constexpr uint32_t repeat = 200'000;

struct Measure {
	std::string name;
	std::function<double()> once;
};

std::vector<Measure> same_flow(Machine &machine)
{
	const uint32_t cuts = 50'000; // as many records as the ring buffer holds
	const auto cut = [&machine] {
		machine.set_timeouts(1);
		const double taken = run(machine.same(machine.whole()), cuts);
		machine.set_timeouts(never);
		machine.drain();
		return taken;
	};
	run(machine.same(machine.whole()), 1); // the flow exists
	return {{"empty", [&] { return run(machine.same(machine.empty()), repeat); }},
		{"parse", [&] { return run(machine.same(machine.parse()), repeat); }},
		{"floor", [&] { return run(machine.same(machine.floor()), repeat); }},
		{"whole", [&] { return run(machine.same(machine.whole()), repeat); }},
		{"cut", cut}};
}

double sweep_all(Machine &machine)
{
	tcpwin_sweep argument{};
	argument.now_ns = TCPWIN_CLOCK_NOW;
	const double start = cpu_ns();
	argument = machine.sweep(argument);
	const double taken = cpu_ns() - start;
	if (argument.exported || argument.remaining != million)
		throw std::runtime_error("the sweep met other flows than there are");
	return taken / million;
}

std::vector<Measure> many_flows(Machine &machine)
{
	const auto measure = [&machine](int program) { return run(machine.vary(program, million - 1), repeat); };
	run(machine.vary(machine.whole(), 0), million); // all flows exist
	return {{"many_empty", [=, &machine] { return measure(machine.empty()); }},
		{"many_floor", [=, &machine] { return measure(machine.floor()); }},
		{"many_whole", [=, &machine] { return measure(machine.whole()); }},
		{"sweep", [&] { return sweep_all(machine); }}};
}

// The same with --no-analysis.
std::vector<Measure> without_analysis(Machine &one, Machine &many)
{
	run(one.same(one.whole()), 1);
	run(many.vary(many.whole(), 0), million);
	return {{"plain", [&] { return run(one.same(one.whole()), repeat); }},
		{"many_plain", [&] { return run(many.vary(many.whole(), million - 1), repeat); }}};
}

std::vector<Measure> new_flows(Machine &machine)
{
	const auto measure = [&machine] {
		const double taken = run(machine.vary(machine.whole(), 0), fresh_flows);
		machine.forget();
		return taken;
	};
	const auto fill = [&machine] {
		run(machine.vary(machine.whole(), 0), fresh_flows);
		const double taken = run(machine.vary(machine.whole(), 0), fresh_flows);
		machine.forget();
		return taken;
	};
	return {{"new_filling", fill},
		{"new_empty", [&] { return run(machine.vary(machine.empty(), 0), fresh_flows); }},
		{"new", measure}};
}

// New flows in a table that is full of unanswered ones. recorded: with room for their records in the ring buffer.
double evict_all(Machine &machine, bool recorded)
{
	constexpr uint32_t chunk = 10'000; // of records; half of the ring buffer holds 17,000
	const uint64_t before = machine.counter(TCPWIN_COUNTER_EVICTED_UNANSWERED);
	double taken = 0;
	for (uint32_t done = 0; done < fresh_flows; done += chunk) {
		taken += run(machine.vary(machine.whole(), 0), chunk) * chunk / fresh_flows;
		if (recorded)
			machine.drain();
	}
	if (machine.counter(TCPWIN_COUNTER_EVICTED_UNANSWERED) - before < fresh_flows - 8)
		throw std::runtime_error("not every new flow took the place of another");
	return taken;
}

std::vector<Measure> flood(Machine &machine)
{
	run(machine.vary(machine.whole(), 0), 2 * fresh_flows); // the table is full
	machine.drain();
	return {{"evict", [&] { return evict_all(machine, true); }},
		{"evict_unrecorded", [&] { return evict_all(machine, false); }}};
}

// The kernel keeps a list and the hash in 48 bytes before the key.
constexpr size_t key_at = 48, flow_at = key_at + sizeof(tcpwin_key), entry = flow_at + sizeof(tcpwin_flow);
constexpr size_t line = 64;

// Average over all positions of an entry in a line. end: bytes of the entry that are touched.
double lines_touched(size_t end)
{
	double sum = 1; // the bucket
	for (size_t i = 0; i < line / 8; i++)
		sum += static_cast<double>((i * entry % line + end - 1) / line + 1) / (line / 8);
	return sum;
}

// name: only this one; empty: all.
nlohmann::json measure(int rounds, const std::string &name)
{
	Machine one(262144), all(million), fresh(2 * fresh_flows), full(2 * fresh_flows), one_plain(262144, false),
		all_plain(million, false);
	std::vector<Measure> measures;
	for (auto &&some :
	     {same_flow(one), many_flows(all), without_analysis(one_plain, all_plain), new_flows(fresh), flood(full)})
		measures.insert(measures.end(), some.begin(), some.end());
	if (!name.empty())
		std::erase_if(measures, [&](const Measure &measure) { return measure.name != name; });
	nlohmann::json samples;
	for (int round = 0; round < rounds; round++)
		for (const Measure &measure : measures)
			samples[measure.name].push_back(measure.once());
	return {{"ns", samples},
		{"bytes_a_flow", all.bytes_a_flow()},
		{"lines_floor", lines_touched(flow_at)},
		{"lines_whole", lines_touched(flow_at + offsetof(tcpwin_flow, analysis))}};
}

} // namespace

int main(int argc, char **argv)
try {
	tcpwin::test::pin_to(tcpwin::test::usable_cpus().back());
	fmt::print("{}\n", measure(argc > 1 ? std::atoi(argv[1]) : 21, argc > 2 ? argv[2] : "").dump());
} catch (const std::exception &error) {
	fmt::print(stderr, "packet_cost: {}\n", error.what());
	return 1;
}
