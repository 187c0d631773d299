// SPDX-License-Identifier: Apache-2.0
// What a flood leaves: summaries of unanswered flows, one per second, and the alarm of their receivers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <tcpwin/types.h>

#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {

// Of the flows that ended in one second and have no record of their own.
struct UnansweredRecord {
	struct Receiver {
		std::string ip;
		std::uint16_t port;
		std::uint64_t flows;
	};
	WallTime time; // when that second ended, or the source did
	Totals totals;
	std::uint64_t bytes = 0;
	std::uint64_t evicted = 0;
	std::uint64_t timed_out = 0;
	std::uint64_t unrecorded_flows = 0;   // this and the next: evicted when the ring buffer was half full
	std::uint64_t unrecorded_packets = 0; // their receivers are not known
	std::vector<Receiver> receivers;      // at most ten, those with most flows first
	std::uint64_t other_flows = 0;        // to other receivers
};

struct SynFloodAlarm {
	WallTime time; // as in UnansweredRecord
	std::uint16_t vlan;
	std::string receiver_ip;
	std::uint16_t receiver_port;
	std::uint64_t rate; // connections that ended unanswered in that second
	std::uint32_t syn_flood_alarm;
};

// Memory: at most 65,536 receivers are told apart in a second.
class UnansweredFlows {
public:
	class Observer {
	public:
		virtual ~Observer() = default;
		virtual void on_unanswered(const UnansweredRecord &record) = 0;
		virtual void on_syn_flood(const SynFloodAlarm &alarm) = 0;
	};

	explicit UnansweredFlows(Observer &observer) : observer_(observer) {}

	// counters: what an earlier agent left.
	void begin(const tcpwin_counters &counters);
	// Whether now_ns, of the source's clock, is in the current second, or just before it.
	bool covers(std::uint64_t now_ns) const;
	// Ends the current second if it does not cover now_ns. wall_offset: as for make_flow_record.
	void pass_to(std::uint64_t now_ns, const tcpwin_config &config, std::chrono::nanoseconds wall_offset);
	// Counts a flow that ended. Returns whether a summary takes the place of its record. Call pass_to() first.
	bool add(const tcpwin_record &record, const tcpwin_config &config);
	// What the counters say so far, of flows that have neither. To be called before pass_to().
	void set_unrecorded(const tcpwin_counters &counters);
	// Ends the current second early.
	void finish(const tcpwin_config &config, std::chrono::nanoseconds wall_offset);

private:
	struct Receiver {
		tcpwin_address address;
		std::uint16_t port;
		std::uint16_t vlan;

		bool operator<(const Receiver &other) const;
	};
	struct Count {
		std::uint64_t summarized = 0;
		std::uint64_t syn = 0; // of all unanswered flows
	};
	template <typename T> using ByReceiver = std::map<Receiver, T>; // not hashed: senders choose the addresses

	void report(const tcpwin_config &config, WallTime time);
	void report_floods(const tcpwin_config &config, WallTime time);
	void put_receivers(UnansweredRecord &record) const;

	Observer &observer_;
	std::uint64_t second_ = 0; // of the source's clock
	UnansweredRecord sum_;
	ByReceiver<Count> receivers_;
	ByReceiver<std::uint64_t> floods_; // the last second in which the limit was exceeded
	std::uint64_t unrecorded_flows_ = 0;
	std::uint64_t unrecorded_packets_ = 0;
};

} // namespace tcpwin
