// SPDX-License-Identifier: Apache-2.0
// The stalls of all flows. Records that continue each other are joined to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "capture/frame_clock.hpp"
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
	std::uint64_t ignored = 0;
	std::uint64_t duplicates = 0;
	std::chrono::nanoseconds timeout{0};
	bool analyzed = true; // in every record
	// Total, longest and open include the time between two records.
	ParsedStall stall;
	ParsedLimits limits; // when it sent
	std::uint64_t window_max = 0;
	std::shared_ptr<const ParsedLocal> local;
	bool longest_is_least = false;
	std::chrono::nanoseconds open_for{0}; // of the open episode

	bool has_stalled() const { return stall.episodes != 0 || (!analyzed && zero_windows != 0); }
};

struct Connection {
	ParsedFlow record; // the last one, without its sides, with the VLANs of all
	std::uint64_t first_id = 0;
	WallTime first;
	std::uint64_t records = 0;
	std::vector<SideStory> sides; // one or two

	bool clock_went_back = false;

	const SideStory *peer_of(const SideStory &side) const;
	// Whether the endpoint reset the connection: its peer may have ignored its RST.
	bool was_reset_by(const SideStory &side) const;
};

// An endpoint that stalled.
struct Entry {
	const Connection *connection;
	const SideStory *side;
	std::vector<const Connection *> copies = {}; // the same connection, seen on other interfaces or VLANs
};

class Connections {
public:
	// What was found when a capture was read.
	void set_clock(const ClockFindings &clock) { clock_ = clock; }
	const ClockFindings &clock() const { return clock_; }
	// All packets have the same time, so durations are not known.
	bool has_no_times() const { return clock_.no_times || (packets_ > 1 && earliest_ == latest_); }
	// Flows during which the clock went back.
	std::uint64_t went_back() const { return went_back_; }
	std::uint64_t duplicates() const { return duplicates_; }

	// In the order of the file: a flow comes before the flow that continues it.
	void add(ParsedFlow flow);

	// What lines other than flow records say.
	void add(const ParsedFlood &flood);

	struct Flooded {
		std::uint64_t flows = 0; // that have no record of their own
		std::uint64_t rate = 0;  // the largest in an alarm; 0: there was none
	};
	using Receivers = std::map<std::pair<std::string, std::uint16_t>, Flooded>;
	const Receivers &flooded() const { return flooded_; }
	// Flows that ended early because the flow table filled.
	std::uint64_t ended_early() const { return ended_early_; }

	std::uint64_t flows() const { return flows_; }
	std::uint64_t without_analysis() const { return without_analysis_; }
	// Windows below the threshold that are not stalls: of SYN, RST and the like.
	std::uint64_t harmless() const { return harmless_; }
	// Sorted by the time stalled, then by the number of zero windows, descending. One per connection and side, also
	// if it was seen at several places at the same time.
	std::vector<Entry> stalled() const;
	// Receivers that closed no window, but held up their peer more than anything else did. Sorted by that time.
	std::vector<Entry> limiting() const;

private:
	Connection *find_continued(const ParsedFlow &flow);
	void count(const ParsedFlow &flow);

	std::vector<Connection> connections_;
	std::map<std::uint64_t, std::size_t> by_id_; // not hashed: the file chooses the numbers
	std::uint64_t flows_ = 0;
	std::uint64_t without_analysis_ = 0;
	std::uint64_t harmless_ = 0;
	std::uint64_t packets_ = 0;
	std::uint64_t duplicates_ = 0;
	std::uint64_t went_back_ = 0;
	std::uint64_t ended_early_ = 0;
	Receivers flooded_;
	WallTime earliest_ = WallTime::max();
	WallTime latest_ = WallTime::min();
	ClockFindings clock_;
};

} // namespace tcpwin
