// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, configuration, counters and ring buffer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "bpf/hook.hpp"
#include "error.hpp"

#include <tcpwin/types.h>

struct tcpwin_bpf;
struct ring_buffer;

namespace tcpwin {

struct ProgramOptions {
	std::uint32_t max_flows = 262'144; // entries of the flow table
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	bool report_packets = false; // packet mode
	bool per_interface = false;  // each interface has flows of its own
	bool test_runs = false;      // for run_at instead of an interface
};

class Program {
public:
	// Errors: no permission, a missing kernel feature by name, no memory.
	static Result<Program> load(const ProgramOptions &options);

	ProgramFds fds() const;
	// The programs know an interface from then on; before it is attached.
	Result<void> add_interface(unsigned ifindex, const tcpwin_interface &interface);
	void remove_interface(unsigned ifindex);
	std::uint32_t max_flows() const { return max_flows_; }

	// What ended goes into the ring buffer. Returns the request with its results.
	Result<tcpwin_sweep> sweep(tcpwin_sweep request);

	// Since the last sweep a flow may have expired, or an ended entry may have lingered long enough.
	bool is_due() const;

	// Runs the XDP program on an Ethernet frame of at least 14 bytes, at a time of the caller's.
	Result<void> run_at(std::span<const std::uint8_t> frame, std::uint32_t wire_length, std::uint64_t now_ns);

	using TakeRecord = std::function<void(const tcpwin_record &)>;
	using TakePacket = std::function<void(const tcpwin_packet_event &)>;
	// Hand over what is in a ring buffer.
	void drain(const TakeRecord &take);
	void drain_packets(const TakePacket &take);
	// Readable when one of the ring buffers has something.
	int ring_fd() const;
	// Whether a packet found the table full since the last call of take_table_full.
	bool table_full() const;
	bool take_table_full();

	// Sum over the CPUs.
	Result<tcpwin_counters> counters() const;

private:
	struct Skeleton {
		void operator()(tcpwin_bpf *skeleton) const;
	};
	struct Ring;
	struct RingDeleter {
		void operator()(Ring *ring) const;
	};

	Program() = default;
	Result<void> open_rings();

	std::unique_ptr<tcpwin_bpf, Skeleton> skeleton_;
	std::unique_ptr<Ring, RingDeleter> ring_;
	std::vector<std::uint8_t> test_frame_;
	std::uint32_t max_flows_ = 0;
	std::uint64_t due_ns_ = 0; // for what the last sweep met
};

} // namespace tcpwin
