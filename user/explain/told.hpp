// SPDX-License-Identifier: Apache-2.0
// A flow record as explain reads it: only what its sentences need.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "record/record.hpp"

namespace tcpwin {

// Of an endpoint's receiver: its peer had to wait.
struct ToldStall {
	std::uint64_t episodes = 0;
	std::chrono::nanoseconds total{0}; // the open one up to the flow's last packet
	std::chrono::nanoseconds longest{0};
	bool open = false;
	std::string last_ended;               // resumed, fin, reset, or empty
	std::optional<std::uint64_t> probes;  // of the peer
	std::optional<std::uint64_t> answers; // to them, with a closed window
	std::optional<WallTime> last_began;
};

struct ToldSide {
	std::string ip;
	std::uint16_t port = 0;
	std::uint64_t packets = 0;
	std::uint64_t zero_windows = 0; // below the threshold, SYN and RST included
	bool fin = false;
	bool rst = false;
	std::chrono::nanoseconds timeout{0};
	std::optional<ToldStall> stall; // nothing: the record has no stall analysis

	bool has_stalled() const { return stall ? stall->episodes != 0 : zero_windows != 0; }
};

struct ToldFlow {
	std::uint64_t id = 0;
	std::uint64_t continues = 0; // the flow of the same connection that ended shortly before, or 0
	std::string interface;       // empty: a capture's
	std::uint64_t vlan = 0;      // 0: none
	std::string end_reason;
	bool interim = false; // it went on: a later record of the same number has all of this one
	WallTime first;
	WallTime last;
	ToldSide a;
	std::optional<ToldSide> b; // nothing: it was never seen
};

} // namespace tcpwin
