// SPDX-License-Identifier: Apache-2.0
// Which flows and peers are shown, and in what order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "live/flow.hpp"

namespace tcpwin {

// Whether the text is a part of an endpoint as endpoint_text has it. Nothing is a part of each.
bool matches(const LiveFlow &flow, std::string_view filter);

struct Selected {
	std::vector<std::uint32_t> best; // places in the list of flows
	std::size_t matching = 0;        // how many there are
};

// The largest first; flows that are equal in that, the older first.
Selected select_flows(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter, std::size_t limit);

// An address that has closed its window, and the flows in which it did.
struct Peer {
	tcpwin_address address{};
	std::uint64_t flows = 0;
	std::uint64_t closed = 0; // flows in which its window is closed now
	std::uint64_t longest_ns = 0;
	// Stalls and zero windows are its own, bytes, packets and retransmitted segments of both sides; duration is that of the
	// longest of its flows, idle that of the one seen last.
	Amounts amounts{};
};

struct SelectedPeers {
	std::vector<Peer> best;
	std::size_t matching = 0;
};

// Of the flows that match.
SelectedPeers select_peers(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter,
			   std::size_t limit);

struct LiveTotals {
	std::uint64_t flows = 0;
	std::uint64_t stalled = 0; // now
};

LiveTotals count_flows(const std::vector<LiveFlow> &flows);

// What happened between two looks at the tables.
class Rates {
public:
	struct PerSecond {
		double packets;
		double zero_windows; // what flows had after the look before, and ended with, is missing
	};

	// packets: a count that only grows. Nothing at the first look, and after packets went back.
	std::optional<PerSecond> look(const std::vector<LiveFlow> &flows, std::uint64_t packets, std::uint64_t now_ns);
	// The next look is the first.
	void forget() { before_.reset(); }

private:
	struct Look {
		std::uint64_t packets;
		std::uint64_t now_ns;
		std::unordered_map<std::uint64_t, std::uint64_t> zero_windows; // by table and number of the flow
	};
	std::optional<Look> before_;
};

} // namespace tcpwin
