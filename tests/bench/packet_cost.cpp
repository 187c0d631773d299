// SPDX-License-Identifier: Apache-2.0
//
// What one packet costs in the kernel: test runs of the production's program and
// of smaller ones (packet_cost.bpf.c), in turns. Prints nanoseconds a packet, all
// rounds of each, as JSON.
#include <sched.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <tcpwin/types.h>

#include "support/frame.hpp"

#include "packet_cost.skel.h"
#include "tcpwin.skel.h"

namespace {

using tcpwin::test::Bytes;
using tcpwin::test::Frame;

constexpr uint32_t million = 1 << 20;
constexpr uint32_t fresh_flows = 100'000;
constexpr uint64_t never = 1'000'000'000'000'000; // ns

int check(const char *what, int result)
{
	if (result < 0)
		throw std::system_error(-result, std::generic_category(), what);
	return result;
}

template <typename T> struct Destroy {
	void operator()(T *skeleton) const { T::destroy(skeleton); }
};
template <typename T> using Skeleton = std::unique_ptr<T, Destroy<T>>;

void set_timeouts(tcpwin_bpf &program, uint64_t ns)
{
	for (__u64 &timeout : program.data->config.timeout_ns)
		timeout = ns;
}

Skeleton<tcpwin_bpf> load_production(uint32_t flows)
{
	Skeleton<tcpwin_bpf> program(tcpwin_bpf::open());
	check("set the size of the table", bpf_map__set_max_entries(program->maps.flows, flows));
	for (bpf_program *other : {program->progs.tcpwin_xdp_at, program->progs.tcpwin_ingress, program->progs.tcpwin_egress})
		bpf_program__set_autoload(other, false);
	check("load the program", tcpwin_bpf::load(program.get()));
	set_timeouts(*program, never);
	return program;
}

// Beside it, the programs to compare with, over the same table.
Skeleton<packet_cost_bpf> load_others(const tcpwin_bpf &production)
{
	Skeleton<packet_cost_bpf> programs(packet_cost_bpf::open());
	bpf_map *map = nullptr;
	bpf_object__for_each_map(map, programs->obj)
		if (!bpf_map__is_internal(map))
			bpf_map__set_autocreate(map, map == programs->maps.next);
	bpf_map__set_autocreate(programs->maps.flows, true);
	check("share the table", bpf_map__reuse_fd(programs->maps.flows, bpf_map__fd(production.maps.flows)));
	check("load the programs to compare with", packet_cost_bpf::load(programs.get()));
	return programs;
}

// One machine: the production's program with its table, and the others.
class Machine {
public:
	explicit Machine(uint32_t flows)
		: production_(load_production(flows)), others_(load_others(*production_)),
		  ring_(ring_buffer__new(bpf_map__fd(production_->maps.records), ignore, nullptr, nullptr))
	{
	}
	Machine(const Machine &) = delete;
	~Machine() { ring_buffer__free(ring_); }

	tcpwin_bpf &production() { return *production_; }
	int whole() const { return bpf_program__fd(production_->progs.tcpwin_xdp); }
	int empty() const { return bpf_program__fd(others_->progs.cost_empty); }
	int parse() const { return bpf_program__fd(others_->progs.cost_parse); }
	int floor() const { return bpf_program__fd(others_->progs.cost_floor); }

	// Each packet of another flow: mask 0, flows never seen before; else one of mask + 1 at random.
	int vary(int then, uint32_t mask)
	{
		const uint32_t only = 0;
		check("choose what follows", bpf_map__update_elem(others_->maps.next, &only, sizeof(only), &then, sizeof(then), 0));
		others_->bss->flow_mask = mask;
		return bpf_program__fd(others_->progs.cost_vary);
	}

	void drain() { ring_buffer__consume(ring_); }

	// Removes the flows that vary(..., 0) made.
	void forget()
	{
		const int table = bpf_map__fd(production_->maps.flows);
		std::vector<tcpwin_key> keys;
		tcpwin_key key{};
		for (const tcpwin_key *last = nullptr; bpf_map_get_next_key(table, last, &key) == 0; last = &keys.back())
			keys.push_back(key);
		for (const tcpwin_key &one : keys)
			check("remove a flow", bpf_map_delete_elem(table, &one));
		production_->bss->live_flows = 0;
	}

	double bytes_a_flow() const
	{
		const int table = bpf_map__fd(production_->maps.flows);
		std::ifstream info(fmt::format("/proc/self/fdinfo/{}", table));
		for (std::string name, value; info >> name >> value;)
			if (name == "memlock:")
				return std::stod(value) / bpf_map__max_entries(production_->maps.flows);
		return 0;
	}

private:
	static int ignore(void *, void *, size_t) { return 0; }

	Skeleton<tcpwin_bpf> production_;
	Skeleton<packet_cost_bpf> others_;
	ring_buffer *ring_;
};

double cpu_ns()
{
	timespec now{};
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Nanoseconds a packet.
double run(int program, uint32_t repeat)
{
	static Bytes frame = Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(443, 443, TCPWIN_FLAG_ACK).bytes();
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
		    .repeat = static_cast<int>(repeat));
	const double start = cpu_ns();
	check("run a program", bpf_prog_test_run_opts(program, &options));
	const double taken = cpu_ns() - start;
	if (options.retval != XDP_PASS)
		throw std::runtime_error("a packet was not passed");
	return taken / repeat;
}

struct Measure {
	std::string name;
	std::function<double()> once;
};

std::vector<Measure> same_flow(Machine &machine)
{
	const uint32_t repeat = 200'000, cuts = 50'000; // as many records as the ring buffer holds
	const auto cut = [&machine] {
		set_timeouts(machine.production(), 1);
		const double taken = run(machine.whole(), cuts);
		set_timeouts(machine.production(), never);
		machine.drain();
		return taken;
	};
	run(machine.whole(), 1); // the flow exists
	return {{"empty", [&] { return run(machine.empty(), repeat); }},
		{"parse", [&] { return run(machine.parse(), repeat); }},
		{"floor", [&] { return run(machine.floor(), repeat); }},
		{"whole", [&] { return run(machine.whole(), repeat); }},
		{"cut", cut}};
}

std::vector<Measure> many_flows(Machine &machine)
{
	const uint32_t repeat = 200'000;
	const auto measure = [&machine](int program) { return run(machine.vary(program, million - 1), repeat); };
	run(machine.vary(machine.whole(), 0), million); // all flows exist
	return {{"many_empty", [=, &machine] { return measure(machine.empty()); }},
		{"many_floor", [=, &machine] { return measure(machine.floor()); }},
		{"many_whole", [=, &machine] { return measure(machine.whole()); }}};
}

std::vector<Measure> new_flows(Machine &machine)
{
	const auto measure = [&machine] {
		const double taken = run(machine.vary(machine.whole(), 0), fresh_flows);
		machine.forget();
		return taken;
	};
	return {{"new_empty", [&] { return run(machine.vary(machine.empty(), 0), fresh_flows); }}, {"new", measure}};
}

void use_one_cpu()
{
	cpu_set_t cpus;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	int last = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			last = cpu;
	CPU_ZERO(&cpus);
	CPU_SET(last, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

nlohmann::json measure(int rounds)
{
	Machine one(262144), all(million), fresh(2 * fresh_flows);
	std::vector<Measure> measures;
	for (auto &&some : {same_flow(one), many_flows(all), new_flows(fresh)})
		measures.insert(measures.end(), some.begin(), some.end());
	nlohmann::json samples;
	for (int round = 0; round < rounds; round++)
		for (const Measure &measure : measures)
			samples[measure.name].push_back(measure.once());
	return {{"ns", samples}, {"bytes_a_flow", all.bytes_a_flow()}, {"flows", million}};
}

} // namespace

int main(int argc, char **argv)
try {
	use_one_cpu();
	fmt::print("{}\n", measure(argc > 1 ? std::atoi(argv[1]) : 31).dump());
} catch (const std::exception &error) {
	fmt::print(stderr, "packet_cost: {}\n", error.what());
	return 1;
}
