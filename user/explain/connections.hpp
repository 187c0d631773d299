// SPDX-License-Identifier: Apache-2.0
// The stalls of all flows. Records that continue each other are joined to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "explain/parsed.hpp"

namespace tcpwin {

// What the receiver of an endpoint did, over all records of a connection.
struct SideStory {
	std::string ip;
	std::uint16_t port = 0;
	std::uint64_t packets = 0;
	std::uint64_t zero_windows = 0;
	bool fin = false;
	bool rst = false;
	std::chrono::nanoseconds timeout{0};
	bool analyzed = true; // in every record
	// Total, longest and open include the time between two records.
	ParsedStall stall;
	bool longest_is_least = false;
	std::chrono::nanoseconds open_for{0}; // of the open episode

	bool has_stalled() const { return stall.episodes != 0 || (!analyzed && zero_windows != 0); }
};

struct Connection {
	ParsedFlow record; // the last one, without its sides
	std::uint64_t first_id = 0;
	WallTime first;
	std::uint64_t records = 0;
	std::vector<SideStory> sides; // one or two

	const SideStory *peer_of(const SideStory &side) const;
};

// An endpoint that stalled.
struct Entry {
	const Connection *connection;
	const SideStory *side;
};

class Connections {
public:
	// In the order of the file: a flow comes before the flow that continues it.
	void add(ParsedFlow flow);

	std::uint64_t flows() const { return flows_; }
	std::uint64_t without_analysis() const { return without_analysis_; }
	// Windows below the threshold that are not stalls: of SYN, RST and the like.
	std::uint64_t harmless() const { return harmless_; }
	// Sorted by the time stalled, then by the number of zero windows, descending.
	std::vector<Entry> stalled() const;

private:
	Connection *find_continued(const ParsedFlow &flow);
	void count(const ParsedFlow &flow);

	std::vector<Connection> connections_;
	std::unordered_map<std::uint64_t, std::size_t> by_id_;
	std::uint64_t flows_ = 0;
	std::uint64_t without_analysis_ = 0;
	std::uint64_t harmless_ = 0;
};

} // namespace tcpwin
