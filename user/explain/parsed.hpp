// SPDX-License-Identifier: Apache-2.0
// A flow record as explain reads it: only what the summary needs.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "record/record.hpp"

namespace tcpwin {

// The stalls of an endpoint's receiver, which blocked its peer.
struct ParsedStall {
	std::uint64_t episodes = 0;
	std::chrono::nanoseconds total{0}; // an open episode counts up to the flow's last packet
	std::chrono::nanoseconds longest{0};
	bool open = false;
	std::string last_ended;               // resumed, fin, reset, new_connection, timeout, or empty
	std::optional<std::uint64_t> probes;  // of the peer
	std::optional<std::uint64_t> answers; // to these, with the window still closed
	std::optional<WallTime> last_began;
};

// What held an endpoint up when it sent.
struct ParsedLimits {
	std::chrono::nanoseconds receiver{0};
	std::chrono::nanoseconds network{0};
	std::chrono::nanoseconds application{0};

	std::chrono::nanoseconds busy() const { return receiver + network; }
	Verdict verdict() const { return judge_limits(receiver, network, application); }
};

// The program of the agent's host that an endpoint belongs to.
struct ParsedLocal {
	std::string name;         // "nginx (pid 812, uid 33, unit nginx.service)"
	std::uint64_t unread = 0; // bytes in its socket's receive queue when the kernel was last asked
};

struct ParsedSide {
	std::string ip;
	std::uint16_t port = 0;
	std::uint64_t packets = 0;
	std::uint64_t zero_windows = 0; // packets below the threshold, SYN and RST included
	bool fin = false;
	bool rst = false;
	std::uint64_t ignored = 0;    // segments that the peer ignored
	std::uint64_t duplicates = 0; // packets that were captured twice
	std::chrono::nanoseconds timeout{0};
	std::optional<ParsedStall> stall;         // absent: the record has no stall analysis
	std::optional<ParsedLimits> limits;       // absent: likewise, or the peer was not seen
	std::uint64_t window_max = 0;             // bytes; 0: not known
	std::shared_ptr<const ParsedLocal> local; // null: not known

	bool has_stalled() const { return stall ? stall->episodes != 0 : zero_windows != 0; }
	bool was_limited() const { return limits && limits->verdict().limit == Limit::receiver; }
};

struct ParsedFlow {
	std::uint64_t id = 0;
	std::uint64_t continues = 0;   // the flow of the same connection that ended shortly before, or 0
	std::string interface;         // empty: from a capture
	std::uint64_t vlan = 0;        // that tells the flow apart from others; 0: none
	std::set<std::uint64_t> vlans; // of its packets
	std::string end_reason;
	bool interim = false; // a later record of the same ID includes this one
	WallTime first;
	WallTime last;
	ParsedSide a;
	std::optional<ParsedSide> b; // absent: it was never seen
};

// What other lines say of a flood.
struct ParsedFlood {
	struct Receiver {
		std::string ip;
		std::uint16_t port = 0;
		std::uint64_t flows = 0; // of an unanswered line
		std::uint64_t rate = 0;  // of an alarm
	};
	std::uint64_t flows = 0; // that have no record
	std::uint64_t unrecorded_flows = 0;
	std::vector<Receiver> receivers;
};

} // namespace tcpwin
