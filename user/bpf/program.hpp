// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, configuration, counters and ring buffer.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bpf/hook.hpp"
#include "bpf/pins.hpp"
#include "bpf/ring.hpp"
#include "config/tracking.hpp"
#include "base/error.hpp"

#include <tcpwin/types.h>

struct tcpwin_bpf;

namespace tcpwin {

struct ProgramOptions {
	TrackingOptions tracking;
	bool per_interface = false;               // each interface has its own flows
	bool test_runs = false;                   // for run_at instead of an interface
	const PinnedInterface *adopted = nullptr; // whose maps to take over; max_flows is theirs then
};

class Program {
public:
	// Errors: no permission, a missing kernel feature by name, no memory.
	static Result<Program> load(const ProgramOptions &options);

	// All that the next agent needs to go on: the maps, and the programs themselves.
	Result<void> pin_to(const PinnedInterface &place) const;
	// What an agent of another layout had counted, so that it is in counters() too.
	Result<void> carry(const tcpwin_counters &counters);

	ProgramFds fds() const;
	// The programs know an interface from then on; before it is attached.
	Result<void> add_interface(unsigned ifindex, const tcpwin_interface &interface);
	std::optional<tcpwin_interface> interface(unsigned ifindex) const;
	void remove_interface(unsigned ifindex);
	std::uint32_t max_flows() const;
	std::uint64_t live_flows() const;

	// What ended goes into the ring buffer. Returns the request with its results.
	Result<tcpwin_sweep> sweep(tcpwin_sweep request);

	// Since the last sweep a flow may have expired, or an ended entry may have lingered long enough.
	bool is_due(std::uint64_t now_ns) const;

	// As it is now, which another process may have changed (tcpwin-agent set).
	tcpwin_config config() const;
	void set_config(const tcpwin_config &config);

	// Runs the XDP program on an Ethernet frame of at least 14 bytes, at a time of the caller's.
	Result<void> run_at(std::span<const std::uint8_t> frame, std::uint32_t wire_length, std::uint64_t now_ns);

	using TakeRecord = std::function<void(const tcpwin_record &)>;
	using TakeAlarm = std::function<void(const tcpwin_alarm &)>;
	using TakePacket = std::function<void(const tcpwin_packet_event &)>;
	// Hand over what is in a ring buffer, and was not handed over before.
	void drain(const TakeRecord &take, const TakeAlarm &take_alarm = {});
	void drain_packets(const TakePacket &take);
	RingReader &records() { return *records_; }
	// What is about to be written, for an agent that comes after this one was killed.
	void announce(const tcpwin_batch &batch);
	tcpwin_batch last_batch() const;
	// Frees the space of all that was handed over; until then the next agent would get it again.
	void commit();
	// Whether draining would get on; to be asked before waiting, see RingReader.
	bool pending() const { return records_->pending() || packets_->pending(); }
	// Each readable while its ring buffer has something that was not committed.
	std::array<int, 2> ring_fds() const { return {records_->fd(), packets_->fd()}; }
	// Whether a packet found the table full since the last call of take_table_full.
	bool table_full() const { return table_full_; }
	bool take_table_full() { return std::exchange(table_full_, false); }

	// Sum over the CPUs, and what was carried over.
	Result<tcpwin_counters> counters() const;

private:
	struct Skeleton {
		void operator()(tcpwin_bpf *skeleton) const;
	};

	Program() = default;
	void configure(const ProgramOptions &options);
	Result<void> adopt(const PinnedInterface &place);
	Result<void> open_rings();
	Result<std::vector<tcpwin_counters>> counters_of(std::uint32_t entry) const;

	std::unique_ptr<tcpwin_bpf, Skeleton> skeleton_;
	std::optional<RingReader> records_; // a reader each, so that packets never stand in the way of records
	std::optional<RingReader> packets_;
	std::vector<std::uint8_t> test_frame_;
	bool table_full_ = false;
	std::uint64_t due_ns_ = 0; // for what the last sweep met
};

} // namespace tcpwin
