// SPDX-License-Identifier: Apache-2.0
//
// The BPF programs, loaded and run by BPF_PROG_TEST_RUN: nothing is attached,
// and the test sets the time of every packet.
#pragma once

#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <tcpwin/types.h>

#include "tcpwin.skel.h"

#include "flows.hpp"
#include "support/frame.hpp"

namespace tcpwin::test {

enum class Clock {
	test, // run_at: the test says when a packet comes
	live, // run_live: the program reads the kernel's clock
	tc,   // run_tc: as live, the tc programs
};

struct KernelSetup {
	uint32_t flows = 4096;      // entries of the table
	uint32_t records = 1 << 20; // bytes of the ring buffer, a power of two of at least a page
	bool per_interface = false;
	Clock clock = Clock::test; // only one program is loaded: the kernel takes time to verify each
	std::string object = {};   // file of a BPF object to be loaded instead of ours; with the same maps and globals
};

inline uint64_t boottime_ns()
{
	timespec now = {};
	clock_gettime(CLOCK_BOOTTIME, &now);
	return static_cast<uint64_t>(now.tv_sec) * second + static_cast<uint64_t>(now.tv_nsec);
}

// The content of the ring buffer.
struct Drained {
	std::vector<tcpwin_record> records;
	std::vector<tcpwin_alarm> alarms;
	std::vector<tcpwin_table_full> notices;
	size_t strangers = 0; // messages of an unknown type, or not of the size of their type
};

class Kernel {
public:
	explicit Kernel(const KernelSetup &setup = {}) : object_(read_file(setup.object)), skeleton_(open(object_))
	{
		if (!skeleton_)
			fail("open the skeleton", errno);
		set_size(skeleton_->maps.flows, setup.flows);
		set_size(skeleton_->maps.numbered_keys, setup.flows);
		set_size(skeleton_->maps.half_open_flows, tcpwin_max_half_open(setup.flows));
		set_size(skeleton_->maps.records, setup.records);
		bpf_program__set_autoload(skeleton_->progs.tcpwin_xdp_at, setup.clock == Clock::test);
		bpf_program__set_autoload(skeleton_->progs.tcpwin_xdp, setup.clock == Clock::live);
		bpf_program__set_autoload(skeleton_->progs.tcpwin_ingress, setup.clock == Clock::tc);
		bpf_program__set_autoload(skeleton_->progs.tcpwin_egress, setup.clock == Clock::tc);
		skeleton_->rodata->per_interface = setup.per_interface;
		skeleton_->rodata->max_flows = setup.flows;
		check("load the programs", tcpwin_bpf::load(skeleton_.get()));
		int records = bpf_map__fd(skeleton_->maps.records);
		ring_.reset(ring_buffer__new(records, receive, &drained_, nullptr));
		if (!ring_)
			fail("open the ring buffer", errno);
	}

	// Runs one packet. Expects that it passes unchanged.
	void run_at(const Bytes &frame, uint64_t now_ns)
	{
		const tcpwin_test_frame meta = {now_ns, static_cast<uint32_t>(frame.size()), 0};
		Bytes in(sizeof(meta) + frame.size());
		std::memcpy(in.data(), &meta, sizeof(meta));
		std::copy(frame.begin(), frame.end(), in.begin() + sizeof(meta));
		Bytes out(in.size() + 64, 0xee);
		xdp_md context = {};
		context.data = sizeof(meta);
		context.data_end = static_cast<uint32_t>(in.size());

		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.ctx_in = &context;
		run.ctx_size_in = sizeof(context);
		run.data_in = in.data();
		run.data_size_in = static_cast<uint32_t>(in.size());
		run.data_out = out.data();
		run.data_size_out = static_cast<uint32_t>(out.size());
		test_run(skeleton_->progs.tcpwin_xdp_at, run);

		EXPECT_EQ(run.retval, static_cast<uint32_t>(XDP_PASS));
		out.resize(run.data_size_out);
		EXPECT_TRUE(out == in) << "the program changed the frame";
	}

	// Runs the same packet repeat times at the clock's time, as fast as possible. May be called from any thread.
	void run_live(Bytes &frame, uint32_t repeat)
	{
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.data_in = frame.data();
		run.data_size_in = static_cast<uint32_t>(frame.size());
		run.repeat = static_cast<int>(repeat);
		test_run(skeleton_->progs.tcpwin_xdp, run);
		if (run.retval != XDP_PASS)
			throw std::runtime_error("a packet was not passed");
	}

	// Makes an interface known to the tc programs.
	void add_interface(uint32_t ifindex, const tcpwin_interface &interface)
	{
		check("add an interface",
		      bpf_map_update_elem(bpf_map__fd(skeleton_->maps.interfaces), &ifindex, &interface, BPF_ANY));
	}

	void forget_interface(uint32_t ifindex)
	{
		check("forget an interface", bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.interfaces), &ifindex));
	}

	// Runs one frame at a tc hook. context: the fields of __sk_buff that test runs may set. Expects that the frame
	// passes unchanged.
	void run_tc(bool egress, const Bytes &frame, __sk_buff context)
	{
		Bytes in = frame, out(frame.size() + 64, 0xee);
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.ctx_in = &context;
		run.ctx_size_in = sizeof(context);
		run.data_in = in.data();
		run.data_size_in = static_cast<uint32_t>(in.size());
		run.data_out = out.data();
		run.data_size_out = static_cast<uint32_t>(out.size());
		test_run(egress ? skeleton_->progs.tcpwin_egress : skeleton_->progs.tcpwin_ingress, run);
		EXPECT_EQ(run.retval, static_cast<uint32_t>(-1)) << "not TC_ACT_UNSPEC";
		out.resize(run.data_size_out);
		EXPECT_TRUE(out == in) << "the program changed the frame";
	}

	tcpwin_sweep sweep(tcpwin_sweep argument)
	{
		bpf_test_run_opts run = {};
		run.sz = sizeof(run);
		run.ctx_in = &argument;
		run.ctx_size_in = sizeof(argument);
		test_run(skeleton_->progs.tcpwin_sweep, run);
		return argument;
	}

	Drained drain()
	{
		int received = 0;
		do {
			received = ring_buffer__consume(ring_.get());
			check("read the ring buffer", received);
		} while (received > 0);
		return std::exchange(drained_, {});
	}

	std::optional<tcpwin_flow> flow(const tcpwin_key &key) const
	{
		tcpwin_flow flow = {};
		if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.flows), &key, &flow) == 0)
			return flow;
		if (errno != ENOENT)
			fail("look up a flow", errno);
		return std::nullopt;
	}

	// For each host, the number of flows in which its window is closed.
	std::vector<int64_t> stalled_flows() const
	{
		const int hosts = bpf_map__fd(skeleton_->maps.stalled_hosts);
		std::vector<int64_t> all;
		tcpwin_stalled_host host = {}, next = {};
		for (void *from = nullptr; bpf_map_get_next_key(hosts, from, &next) == 0; from = &host) {
			host = next;
			check("look up a host", bpf_map_lookup_elem(hosts, &host, &all.emplace_back()));
		}
		return all;
	}

	// Writes an entry that no program would leave behind.
	void put(const tcpwin_key &key, const tcpwin_flow &flow)
	{
		check("write a flow", bpf_map_update_elem(bpf_map__fd(skeleton_->maps.flows), &key, &flow, BPF_ANY));
	}

	// The whole table. Only while no packet arrives.
	Flows flows() const
	{
		constexpr uint32_t batch =
			65536; // entries per system call; enough for the longest list of a hash bucket
		const int table = bpf_map__fd(skeleton_->maps.flows);
		std::vector<tcpwin_key> keys(batch);
		std::vector<tcpwin_flow> values(batch);
		Flows all;
		uint32_t place = 0;
		for (bool first = true, last = false; !last; first = false) {
			uint32_t count = batch;
			last = bpf_map_lookup_batch(table, first ? nullptr : &place, &place, keys.data(), values.data(),
						    &count, nullptr) != 0;
			if (last && errno != ENOENT)
				fail("read the table", errno);
			for (uint32_t i = 0; i < count; i++)
				all.emplace(keys[i], values[i]);
		}
		return all;
	}

	// The sum over all CPUs; peak_flows: the maximum.
	tcpwin_counters counters() const
	{
		std::vector<tcpwin_counters> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
		uint32_t only = 0;
		check("read the counters",
		      bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counters), &only, per_cpu.data()));
		tcpwin_counters sum = {};
		for (const tcpwin_counters &cpu : per_cpu) {
			for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
				sum.value[i] += cpu.value[i];
			sum.peak_flows = std::max(sum.peak_flows, cpu.peak_flows);
		}
		return sum;
	}

	const bpf_program *xdp_program() const { return skeleton_->progs.tcpwin_xdp; }
	uint64_t counter(tcpwin_counter which) const { return counters().value[which]; }
	tcpwin_config &config() { return skeleton_->data->config; }
	uint64_t flows_numbered() const { return skeleton_->bss->flows_numbered; }
	uint64_t due_ns() const { return skeleton_->bss->due_ns; }
	uint64_t live_flows() const { return skeleton_->bss->live_flows; }

private:
	struct Destroy {
		void operator()(tcpwin_bpf *skeleton) const { tcpwin_bpf::destroy(skeleton); }
		void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
	};

	static std::string read_file(const std::string &path)
	{
		if (path.empty())
			return {};
		std::ostringstream content;
		content << std::ifstream(path, std::ios::binary).rdbuf();
		if (content.view().empty())
			fail(path.c_str(), ENOENT);
		return content.str();
	}

	// Opens the object with these bytes, or ours if there are none.
	static tcpwin_bpf *open(const std::string &object)
	{
		if (object.empty())
			return tcpwin_bpf::open();
		auto *skeleton = static_cast<tcpwin_bpf *>(calloc(1, sizeof(tcpwin_bpf)));
		if (!skeleton || tcpwin_bpf__create_skeleton(skeleton) != 0)
			return nullptr;
		skeleton->skeleton->data = const_cast<char *>(object.data());
		skeleton->skeleton->data_sz = object.size();
		return bpf_object__open_skeleton(skeleton->skeleton, nullptr) == 0 ? skeleton : nullptr;
	}

	[[noreturn]] static void fail(const char *what, int error)
	{
		throw std::system_error(error, std::generic_category(), what);
	}

	static void check(const char *what, int result)
	{
		if (result < 0)
			fail(what, -result);
	}

	static void set_size(bpf_map *map, uint32_t size)
	{
		check("set the size of a map", bpf_map__set_max_entries(map, size));
	}

	static void test_run(const bpf_program *program, bpf_test_run_opts &run)
	{
		check("run a program", bpf_prog_test_run_opts(bpf_program__fd(program), &run));
	}

	static int receive(void *context, void *data, size_t size)
	{
		auto &drained = *static_cast<Drained *>(context);
		const auto take = [&](auto &messages) {
			if (size == sizeof(messages[0]))
				std::memcpy(&messages.emplace_back(), data, size);
			else
				drained.strangers++;
		};
		uint32_t type = 0;
		std::memcpy(&type, data, std::min(size, sizeof(type)));
		if (type == TCPWIN_MESSAGE_RECORD)
			take(drained.records);
		else if (type == TCPWIN_MESSAGE_ALARM)
			take(drained.alarms);
		else if (type == TCPWIN_MESSAGE_TABLE_FULL)
			take(drained.notices);
		else
			drained.strangers++;
		return 0;
	}

	std::string object_;
	std::unique_ptr<tcpwin_bpf, Destroy> skeleton_;
	std::unique_ptr<ring_buffer, Destroy> ring_;
	Drained drained_;
};

// Tests of this suite need the privilege to load programs, and are skipped without it.
class KernelTest : public ::testing::Test {
protected:
	void SetUp() override
	{
		if (geteuid() != 0)
			GTEST_SKIP() << "needs root: loads BPF programs";
	}
};

} // namespace tcpwin::test
