// SPDX-License-Identifier: Apache-2.0
// A flow that ended, as a user sees it: endpoints A and B instead of lower and
// higher, wall-clock times, the same whatever source it came from.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <tcpwin/types.h>

#include "base/clocks.hpp"
#include "record/analysis.hpp"

namespace tcpwin {

// What one endpoint is and sent. direction.packets == 0: it sent nothing.
struct Side {
	std::string ip;
	std::uint16_t port;
	WallTime first;
	WallTime last;
	std::chrono::nanoseconds timeout; // in force at the end
	tcpwin_direction direction;
	std::optional<Analysis> analysis;

	bool seen() const { return direction.packets != 0; }
};

struct FlowRecord {
	std::uint64_t id;
	std::uint64_t continues; // number of the flow of the same connection that ended shortly before, or 0
	tcpwin_key key;
	std::string_view interface; // of the first packet, empty: a capture's; valid as long as the source
	std::uint8_t hooks;         // enum tcpwin_hook, all that saw a packet; 0: a capture
	std::uint16_t vlan;         // 0: none
	int ip_version;
	tcpwin_end_reason reason;
	WallTime first;
	WallTime last;
	Side a; // always seen
	Side b;

	bool has_alarm() const { return (a.direction.alarms | b.direction.alarms) & TCPWIN_ALARM_ALL; }
	// The flow goes on, and has another record at its end, with all that this one has.
	bool is_interim() const { return reason == TCPWIN_END_ACTIVE_TIMEOUT; }
};

// Which endpoint of the key is A; a flow with one direction only is written as A.
unsigned endpoint_a(const tcpwin_flow &flow);

// wall_offset: what to add to the record's clock to get wall-clock time.
FlowRecord make_flow_record(const tcpwin_record &record, const tcpwin_config &config,
			    std::chrono::nanoseconds wall_offset, std::string_view interface);

// Something that a receiver whose window is closed was reported for, at a packet.
struct AlarmRecord {
	tcpwin_alarm_kind kind;
	WallTime time; // of the packet
	std::uint64_t flow_id;
	tcpwin_key key;
	std::string_view interface; // as of FlowRecord
	std::string receiver_ip;
	std::uint16_t receiver_port;
	std::string blocked_ip; // who has to wait
	std::uint16_t blocked_port;
	std::uint32_t zero_window_count; // of the receiver
	std::uint32_t abort_count;
	WallTime stalled_since;           // TCPWIN_ALARM_STALL only, as the next
	std::chrono::nanoseconds stalled; // since then
	std::chrono::nanoseconds stall_alarm;
	std::uint32_t stalled_flows; // TCPWIN_ALARM_STALLED_FLOWS only: of the receiver's address
	std::uint32_t source_alarm;
};

// One for each that the packet raised. config: what was to be exceeded.
std::vector<AlarmRecord> make_alarm_records(const tcpwin_alarm &alarm, const tcpwin_config &config,
					    std::chrono::nanoseconds wall_offset, std::string_view interface);

// A packet of a flow, and its direction after it.
struct PacketRecord {
	std::uint64_t number; // of the frame in the capture; live: of the packet record
	std::uint64_t flow_id;
	char dir; // 'A' or 'B', by the flow's first packet
	WallTime time;
	std::chrono::nanoseconds iat;      // since the direction's packet before, 0 for its first
	std::chrono::nanoseconds duration; // since the direction's first packet
	std::string source_ip;
	std::string destination_ip;
	std::uint16_t source_port;
	std::uint16_t destination_port;
	std::uint16_t vlan;
	std::chrono::nanoseconds timeout;
	tcpwin_packet_event event;
};

PacketRecord make_packet_record(const tcpwin_packet_event &event, std::uint64_t number, const tcpwin_config &config,
				std::chrono::nanoseconds wall_offset);

bool is_mapped_ipv4(const tcpwin_address &address);

std::string format_address(const tcpwin_address &address);

} // namespace tcpwin
