// SPDX-License-Identifier: Apache-2.0
// Selects the flows and peers to show, and sorts them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "live/flow.hpp"

namespace tcpwin {

// Whether the filter is part of the endpoint_text of either endpoint. An empty filter matches all.
bool matches(const LiveFlow &flow, std::string_view filter);

struct Selected {
	std::vector<std::uint32_t> best; // indices into the list of flows
	std::size_t matching = 0;        // number of all that match
};

// Sorted descending; of equal flows the older comes first.
Selected select_flows(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter, std::size_t limit);

// An address that closed its window, with the flows in which it did.
struct Peer {
	tcpwin_address address{};
	std::uint64_t flows = 0;
	std::uint64_t closed = 0; // flows in which its window is closed now
	std::uint64_t longest_ns = 0;
	// Stalls and zero windows are its own; bytes, packets and retransmitted segments are sums of both sides; duration is
	// that of its longest flow, idle that of the flow seen last.
	Amounts amounts{};
};

struct SelectedPeers {
	std::vector<Peer> best;
	std::size_t matching = 0;
};

// Peers of the flows that match.
SelectedPeers select_peers(const std::vector<LiveFlow> &flows, SortKey sort, std::string_view filter,
			   std::size_t limit);

struct LiveTotals {
	std::uint64_t flows = 0;
	std::uint64_t stalled = 0; // now
};

LiveTotals count_flows(const std::vector<LiveFlow> &flows);

// Rates between two readings of the tables.
class Rates {
public:
	struct PerSecond {
		double packets;
		double zero_windows; // without those between the previous reading and the end of a flow
	};

	// packets: a count that only grows. Nothing at the first reading, or if packets went back.
	std::optional<PerSecond> update(const std::vector<LiveFlow> &flows, std::uint64_t packets,
					std::uint64_t now_ns);
	// Treats the next reading as the first.
	void forget() { before_.reset(); }

private:
	struct Reading {
		std::uint64_t packets;
		std::uint64_t now_ns;
		std::unordered_map<std::uint64_t, std::uint64_t> zero_windows; // by table and number of the flow
	};
	std::optional<Reading> before_;
};

} // namespace tcpwin
