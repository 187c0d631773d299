// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, configuration, counters and ring buffer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "error.hpp"

#include <tcpwin/types.h>

struct tcpwin_bpf;
struct ring_buffer;

namespace tcpwin {

class Program {
public:
	// max_flows: entries of the flow table. Errors: no permission, a missing kernel feature by name, no memory.
	static Result<Program> load(std::uint32_t max_flows, const tcpwin_config &config);

	int xdp_fd() const;
	std::uint32_t max_flows() const { return max_flows_; }

	// What ended goes into the ring buffer; see tcpwin_sweep. shutdown: all flows.
	Result<tcpwin_sweep> sweep(bool shutdown, std::uint64_t linger_ns);

	// Hands over what is in the ring buffer; returns how many records that were.
	std::size_t drain(const std::function<void(const tcpwin_record &)> &take);
	// The table was empty at the last sweep, and no flow has begun since: another sweep would find nothing.
	bool is_idle() const;

	// Readable when the ring buffer has something.
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
	Result<void> open_ring();

	std::unique_ptr<tcpwin_bpf, Skeleton> skeleton_;
	std::unique_ptr<Ring, RingDeleter> ring_;
	std::uint32_t max_flows_ = 0;
	std::uint64_t numbered_at_sweep_ = UINT64_MAX;
	std::uint64_t remaining_at_sweep_ = 0;
};

} // namespace tcpwin
