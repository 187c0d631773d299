// SPDX-License-Identifier: Apache-2.0
//
// Millions of packets per second into an XDP program, through a veth pair:
//
//	VethPair pair;                                       // in a namespace without a name
//	pair.inside([&] { ...attach a program to pair.watched()... });
//	LiveSender sender(live_traffic{.device = pair.sender(), .flows = 100, ...});
//	pair.inside([&] { pin_to(0); sender.send(1'000'000); });
//	pair.statistics()                                    // the number that the program saw
//
// One LiveSender per thread, each thread pinned to its own CPU and inside the
// namespace of the device (live frames leave by a device of the sender's
// namespace). A queue of the veth is served by the CPU that fills it, right after
// each batch, so normally nothing is lost; losses are counted separately.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "cpus.hpp"
#include "live_traffic.h"
#include "base/unique_fd.hpp"

struct live_frames_bpf;

namespace tcpwin::test {

// A network namespace without a name. It is deleted with its last descriptor, however the process ends.
class NetworkNamespace {
public:
	NetworkNamespace();
	void enter() const; // the calling thread, permanently

	// Runs work() in a thread inside the namespace, and returns its result.
	template <typename Work> auto inside(Work &&work) const
	{
		return std::async(std::launch::async,
				  [&] {
					  enter();
					  return work();
				  })
			.get();
	}

private:
	UniqueFd fd_;
};

// Counters of the driver (ethtool -S), summed over the queues.
struct VethStatistics {
	uint64_t entered = 0; // rx_queue_N_xdp_packets of the watched end: frames for which its XDP program was run
	uint64_t lost = 0;    // tx_queue_N_xdp_xmit_errors of the sending end: frames that found a queue full
	uint64_t dropped = 0; // rx_queue_N_xdp_drops of the watched end
};

// For a pair with both ends in the caller's namespace. This is the ground truth of the accounts: the veth driver counts
// a frame in xdp_packets when it passes it to the program, so frames lost before are not included. This holds while a
// program is attached and only live frames cross the pair.
VethStatistics veth_statistics(const std::string &sender, const std::string &watched);

// A veth pair without addresses, in a separate namespace. The kernel sends nothing on it.
class VethPair {
public:
	explicit VethPair(unsigned queues = 2);

	uint32_t sender() const { return sender_; } // interface indexes
	uint32_t watched() const { return watched_; }
	VethStatistics statistics() const;
	const NetworkNamespace &network() const { return network_; }
	template <typename Work> auto inside(Work &&work) const { return network_.inside(work); }

private:
	NetworkNamespace network_;
	uint32_t sender_ = 0, watched_ = 0;
};

// ACK, in turn, bursts of one, from the client.
inline constexpr live_traffic default_traffic = {
	.device = 0,
	.first_flow = 0,
	.flows = 1,
	.order = LIVE_IN_TURN,
	.burst = 1,
	.side = LIVE_CLIENT,
	.stalls = 0,
	.count = 0,
	.flags = {0x10, 0x10, 0x10, 0x10},
};

class LiveSender {
public:
	explicit LiveSender(const live_traffic &traffic, uint32_t frame_length = LIVE_FULL_FRAME);

	// From a thread inside the device's namespace. Returns when the program has seen them all.
	void send(uint64_t packets);
	uint64_t sent() const; // so far, lost ones included
	// By live_stream() of a flow counted from the first; needs traffic.count.
	std::vector<uint64_t> sent_by_stream() const;
	const live_traffic &traffic() const { return traffic_; }

private:
	struct Destroy {
		void operator()(live_frames_bpf *skeleton) const;
	};

	live_traffic traffic_;
	std::vector<uint8_t> frame_;
	std::unique_ptr<live_frames_bpf, Destroy> skeleton_;
};

} // namespace tcpwin::test
