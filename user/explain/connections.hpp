// SPDX-License-Identifier: Apache-2.0
// The stalls of all flows, those of a connection that was cut into several records put together again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "explain/told.hpp"

namespace tcpwin {

// What an endpoint's receiver did in all records of a connection.
struct SideStory {
	std::string ip;
	std::uint16_t port = 0;
	std::uint64_t packets = 0;
	std::uint64_t zero_windows = 0;
	bool fin = false;
	bool rst = false;
	std::chrono::nanoseconds timeout{0};
	bool analyzed = true; // in every record
	// Total, longest and open go on over the time between two records.
	ToldStall stall;
	bool longest_is_least = false;
	std::chrono::nanoseconds open_for{0}; // of the open episode

	bool has_stalled() const { return stall.episodes != 0 || (!analyzed && zero_windows != 0); }
};

struct Connection {
	ToldFlow record; // the last one; its sides are not used
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
	// In the order in which they stand in the file: a flow comes before the one that continues it.
	void add(ToldFlow flow);

	std::uint64_t flows() const { return flows_; }
	std::uint64_t without_analysis() const { return without_analysis_; }
	// Windows below the threshold in flows that are no stall: of SYN, RST and the like.
	std::uint64_t harmless() const { return harmless_; }
	// The worst first: by the time stalled, then by the number of zero windows.
	std::vector<Entry> stalled() const;

private:
	Connection *find_continued(const ToldFlow &flow);
	void count(const ToldFlow &flow);

	std::vector<Connection> connections_;
	std::unordered_map<std::uint64_t, std::size_t> by_id_;
	std::uint64_t flows_ = 0;
	std::uint64_t without_analysis_ = 0;
	std::uint64_t harmless_ = 0;
};

} // namespace tcpwin
