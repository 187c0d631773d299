// SPDX-License-Identifier: Apache-2.0
//
// The production programs with their table, and the programs to compare with
// (packet_cost.bpf.c) over the same table.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <time.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <tcpwin/types.h>

#include "support/frame.hpp"

#include "packet_cost.skel.h"
#include "tcpwin.skel.h"

namespace tcpwin::bench {

constexpr uint64_t never = 1'000'000'000'000'000; // ns

inline int check(const char *what, int result)
{
	if (result < 0)
		throw std::system_error(-result, std::generic_category(), what);
	return result;
}

inline double now_ns(clockid_t clock)
{
	timespec now{};
	clock_gettime(clock, &now);
	return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// CPU time of the calling thread, including system time. The kernel's accounting decides whether softirqs on its CPU
// are included.
inline double cpu_ns()
{
	return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

// Nanoseconds per packet.
inline double run(int program, uint32_t repeat)
{
	static test::Bytes frame = test::Frame()
					   .ethernet()
					   .ipv4("10.0.0.1", "10.0.0.2")
					   .tcp(443, 443, TCPWIN_FLAG_ACK, {.seq = 1U << 30})
					   .bytes();
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
		    .data_size_in = static_cast<__u32>(frame.size()), .repeat = static_cast<int>(repeat));
	const double start = cpu_ns();
	check("run a program", bpf_prog_test_run_opts(program, &options));
	const double taken = cpu_ns() - start;
	if (options.retval != XDP_PASS)
		throw std::runtime_error("a packet was not passed");
	return taken / repeat;
}

class Machine {
public:
	explicit Machine(uint32_t flows, bool analyze = true)
		: production_(tcpwin_bpf::open()), others_(packet_cost_bpf::open())
	{
		load_production(flows, analyze);
		load_others();
		ring_.reset(ring_buffer__new(bpf_map__fd(production_->maps.records), ignore, nullptr, nullptr));
		set_timeouts(never);
	}

	int whole() const { return bpf_program__fd(production_->progs.tcpwin_xdp); }
	int empty() const { return bpf_program__fd(others_->progs.cost_empty); }
	int parse() const { return bpf_program__fd(others_->progs.cost_parse); }
	int floor() const { return bpf_program__fd(others_->progs.cost_floor); }

	// A program whose packets belong to one flow.
	int same(int then)
	{
		follow(then);
		return bpf_program__fd(others_->progs.cost_same);
	}

	// A program that gives each packet another flow. mask 0: a new one; otherwise one of mask + 1 at random.
	int vary(int then, uint32_t mask)
	{
		follow(then);
		others_->bss->flow_mask = mask;
		return bpf_program__fd(others_->progs.cost_vary);
	}

	void set_timeouts(uint64_t ns)
	{
		for (__u64 &timeout : production_->data->config.timeout_ns)
			timeout = ns;
	}

	tcpwin_sweep sweep(tcpwin_sweep argument)
	{
		LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &argument, .ctx_size_in = sizeof(argument));
		check("sweep", bpf_prog_test_run_opts(bpf_program__fd(production_->progs.tcpwin_sweep), &options));
		return argument;
	}

	void drain() { ring_buffer__consume(ring_.get()); }

	// Empties the table.
	void forget()
	{
		std::vector<tcpwin_key> keys;
		tcpwin_key key{};
		for (const tcpwin_key *last = nullptr; bpf_map_get_next_key(table(), last, &key) == 0;
		     last = &keys.back())
			keys.push_back(key);
		for (const tcpwin_key &one : keys)
			check("remove a flow", bpf_map_delete_elem(table(), &one));
		production_->bss->live_flows = 0;
	}

	int table() const { return bpf_map__fd(production_->maps.flows); }

	// TCP packets and other frames that the program saw, by its counters.
	uint64_t counted() const
	{
		uint64_t sum = 0;
		for (const tcpwin_counters &cpu : counters()) {
#define X(name, text, explanation) sum += cpu.value[TCPWIN_COUNTER_##name];
			TCPWIN_VERDICTS(X) TCPWIN_REJECTS(X)
#undef X
		}
		return sum;
	}

	// As the kernel accounts them.
	double bytes_a_flow() const
	{
		double sum = 0;
		for (const bpf_map *map :
		     {production_->maps.flows, production_->maps.numbered_keys, production_->maps.half_open_flows})
			sum += bytes_of(bpf_map__fd(map));
		return sum / bpf_map__max_entries(production_->maps.flows);
	}

	uint64_t counter(tcpwin_counter counter) const
	{
		uint64_t sum = 0;
		for (const tcpwin_counters &cpu : counters())
			sum += cpu.value[counter];
		return sum;
	}

private:
	void follow(int program)
	{
		const uint32_t only = 0;
		check("choose what follows",
		      bpf_map__update_elem(others_->maps.next, &only, sizeof(only), &program, sizeof(program), 0));
	}

	std::vector<tcpwin_counters> counters() const // one per CPU
	{
		std::vector<tcpwin_counters> each(static_cast<size_t>(libbpf_num_possible_cpus()));
		const uint32_t only = 0;
		check("read the counters",
		      bpf_map_lookup_elem(bpf_map__fd(production_->maps.counters), &only, each.data()));
		return each;
	}

	static double bytes_of(int map)
	{
		std::ifstream info(fmt::format("/proc/self/fdinfo/{}", map));
		for (std::string name, value; info >> name >> value;)
			if (name == "memlock:")
				return std::stod(value);
		return 0;
	}

	struct Destroy {
		void operator()(tcpwin_bpf *skeleton) const { tcpwin_bpf::destroy(skeleton); }
		void operator()(packet_cost_bpf *skeleton) const { packet_cost_bpf::destroy(skeleton); }
		void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
	};

	static int ignore(void *, void *, size_t) { return 0; }

	void load_production(uint32_t flows, bool analyze)
	{
		production_->rodata->analyze_stalls = analyze;
		production_->rodata->max_flows = flows;
		for (bpf_map *map : {production_->maps.flows, production_->maps.numbered_keys})
			check("set the size of the table", bpf_map__set_max_entries(map, flows));
		check("set the size of the queue",
		      bpf_map__set_max_entries(production_->maps.half_open_flows, tcpwin_max_half_open(flows)));
		for (bpf_program *other : {production_->progs.tcpwin_xdp_at, production_->progs.tcpwin_ingress,
					   production_->progs.tcpwin_egress})
			bpf_program__set_autoload(other, false);
		check("load the program", tcpwin_bpf::load(production_.get()));
	}

	void load_others()
	{
		bpf_map *map = nullptr;
		bpf_object__for_each_map(map, others_->obj) if (!bpf_map__is_internal(map))
			bpf_map__set_autocreate(map, map == others_->maps.next || map == others_->maps.flows);
		check("share the table", bpf_map__reuse_fd(others_->maps.flows, table()));
		check("load the programs to compare with", packet_cost_bpf::load(others_.get()));
	}

	std::unique_ptr<tcpwin_bpf, Destroy> production_;
	std::unique_ptr<packet_cost_bpf, Destroy> others_;
	std::unique_ptr<ring_buffer, Destroy> ring_;
};

} // namespace tcpwin::bench
