// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, configuration, counters and ring buffers.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "bpf/hook.hpp"
#include "bpf/pins.hpp"
#include "bpf/ring.hpp"
#include "config/tracking.hpp"

struct tcpwin_bpf;

namespace tcpwin {

struct ProgramOptions {
	TrackingOptions tracking;
	bool per_interface = false;               // separate flows per interface
	bool attribute = false;                   // note the sockets of this host
	bool test_runs = false;                   // load the program for run_at instead of those for interfaces
	const PinnedInterface *adopted = nullptr; // take over its maps, and with them max_flows
};

class Program {
public:
	// Errors: no permission, a missing kernel feature by name, no memory.
	static Result<Program> load(const ProgramOptions &options);

	// Pins all that the next agent needs: the maps and the programs.
	Result<void> pin_to(const PinnedInterface &place) const;
	// Adds the counters of an agent of another layout to counters().
	Result<void> carry(const tcpwin_counters &counters);

	ProgramFds fds() const;
	// Makes an interface known to the programs; to be called before attaching to it.
	Result<void> add_interface(unsigned ifindex, const tcpwin_interface &interface);
	std::optional<tcpwin_interface> interface(unsigned ifindex) const;
	void remove_interface(unsigned ifindex);
	std::uint32_t max_flows() const;
	std::uint64_t live_flows() const;
	// Upper bound of the entries of the table: those after the last sweep, and one for each flow begun since.
	std::uint64_t most_entries() const;
	// Whether these are as many as the setting "pressure" says.
	bool is_above_mark() const;
	// Whether a sweep has to examine the pressure (tcpwin_sweep.examine).
	bool fills() const;
	tcpwin_pressure pressure() const;

	// Ends flows that are due; their records go into the ring buffer. Returns the request with the results filled in.
	Result<tcpwin_sweep> sweep(tcpwin_sweep request);

	// Whether, since the last sweep, a flow may have expired or an ended entry may have lingered long enough.
	bool is_due(std::uint64_t now_ns) const;

	// The current configuration, which another process may have changed (tcpwin-agent set).
	tcpwin_config config() const;
	void set_config(const tcpwin_config &config);

	// Runs the XDP program on an Ethernet frame of at least 14 bytes, at the time now_ns.
	Result<void> run_at(std::span<const std::uint8_t> frame, std::uint32_t wire_length, std::uint64_t now_ns);

	using TakeRecord = std::function<void(const tcpwin_record &)>;
	using TakeAlarm = std::function<void(const tcpwin_alarm &)>;
	using TakePacket = std::function<void(const tcpwin_packet_event &)>;
	// Pass on the contents of a ring buffer that were not passed on before.
	void drain(const TakeRecord &take, const TakeAlarm &take_alarm = {});
	void drain_packets(const TakePacket &take);
	RingReader &records() { return *records_; }
	// Stores which records are about to be written, for the next agent if this one is killed.
	void announce(const tcpwin_batch &batch);
	tcpwin_batch last_batch() const;
	// Frees the space of everything passed on; until then the next agent would read it again.
	void commit();
	// Whether draining would find something; to be checked before waiting, see RingReader.
	bool pending() const { return records_->pending() || packets_->pending(); }
	// Each readable while its ring buffer has uncommitted data.
	std::array<int, 2> ring_fds() const { return {records_->fd(), packets_->fd()}; }
	// Whether a packet found the table full since the last call of take_table_full.
	bool table_full() const { return table_full_; }
	bool take_table_full() { return std::exchange(table_full_, false); }

	// Sums over the CPUs, carried counters included.
	Result<tcpwin_counters> counters() const;

private:
	struct Skeleton {
		void operator()(tcpwin_bpf *skeleton) const;
	};

	Program() = default;
	void configure(const ProgramOptions &options);
	void size_queues();
	Result<void> adopt(const PinnedInterface &place);
	Result<void> map_variables();
	Result<void> open_rings();
	Result<std::vector<tcpwin_counters>> counters_of(std::uint32_t entry) const;
	std::uint64_t flows_numbered() const;

	std::unique_ptr<tcpwin_bpf, Skeleton> skeleton_;
	std::optional<RingReader> records_; // separate ring buffers, so that packets never delay records
	std::optional<RingReader> packets_;
	std::vector<std::uint8_t> test_frame_;
	bool table_full_ = false;
	std::uint64_t due_ns_ = 0;    // when the flows visited by the last sweep are due
	std::uint64_t remaining_ = 0; // entries that it left
	std::uint64_t numbered_ = 0;  // flows that had begun before it
};

} // namespace tcpwin
