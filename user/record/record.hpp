// SPDX-License-Identifier: Apache-2.0
// Records as users see them, the same for every source: endpoints A and B instead of lower and higher, wall-clock
// times.
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
#include "record/local_program.hpp"

namespace tcpwin {

// One endpoint and what it sent. direction.packets == 0: it sent nothing.
struct Side {
	std::string ip;
	std::uint16_t port;
	WallTime first;
	WallTime last;
	std::chrono::nanoseconds timeout; // in force at the end
	tcpwin_direction direction;
	std::optional<Analysis> analysis;
	Local local;

	bool seen() const { return direction.packets != 0; }
};

// VLAN IDs of the packets of a flow, ascending, each once.
class VlanIds {
public:
	static constexpr std::size_t most = 4; // two per direction

	VlanIds() = default;
	VlanIds(const tcpwin_key &key, const tcpwin_flow &flow);

	const std::uint16_t *begin() const { return ids_.data(); }
	const std::uint16_t *end() const { return ids_.data() + count_; }

private:
	std::array<std::uint16_t, most> ids_{};
	std::size_t count_ = 0;
};

struct FlowRecord {
	std::uint64_t id;
	std::uint64_t continues; // ID of the flow of the same connection that ended shortly before, or 0
	tcpwin_key key;
	std::string_view interface; // that saw the first packet; empty: from a capture. Valid as long as the source
	std::uint8_t hooks;         // enum tcpwin_hook, all that saw a packet; 0: from a capture
	std::uint16_t vlan;         // of the key; 0: none
	VlanIds vlans;              // of the packets
	int ip_version;
	tcpwin_end_reason reason;
	WallTime first;
	WallTime last;
	Side a; // always seen
	Side b;

	bool has_alarm() const { return (a.direction.alarms | b.direction.alarms) & TCPWIN_ALARM_ALL; }
	// Whether the flow had not ended. A later record includes this one.
	bool is_interim() const { return reason == TCPWIN_END_ACTIVE_TIMEOUT; }
};

// The endpoint of the key that is A. In a flow with one direction only, that direction is A.
unsigned endpoint_a(const tcpwin_flow &flow);

// wall_offset: what to add to the record's clock to get wall-clock time.
FlowRecord make_flow_record(const tcpwin_record &record, const tcpwin_config &config,
			    std::chrono::nanoseconds wall_offset, std::string_view interface,
			    const Locals &locals = {});

// An alarm that a receiver with a closed window raised, at a packet.
struct AlarmRecord {
	tcpwin_alarm_kind kind;
	WallTime time; // of the packet
	std::uint64_t flow_id;
	tcpwin_key key;
	std::string_view interface; // as in FlowRecord
	std::string receiver_ip;
	std::uint16_t receiver_port;
	std::string blocked_ip; // the endpoint that has to wait
	std::uint16_t blocked_port;
	std::uint32_t zero_window_count; // of the receiver
	std::uint32_t abort_count;
	WallTime stalled_since;           // this and the next: TCPWIN_ALARM_STALL only
	std::chrono::nanoseconds stalled; // since then
	std::chrono::nanoseconds stall_alarm;
	std::chrono::nanoseconds limited; // this and the next: TCPWIN_ALARM_LIMITED only
	std::chrono::nanoseconds limited_alarm;
	std::uint32_t
		stalled_flows; // this and the next: TCPWIN_ALARM_STALLED_FLOWS only; flows of the receiver's address
	std::uint32_t source_alarm;
	Local receiver_local;
	Local blocked_local;
};

// One per alarm that the packet raised. config: the limits that were exceeded.
std::vector<AlarmRecord> make_alarm_records(const tcpwin_alarm &alarm, const tcpwin_config &config,
					    std::chrono::nanoseconds wall_offset, std::string_view interface,
					    const Locals &locals = {});

// A packet of a flow, and the state of its direction after it.
struct PacketRecord {
	std::uint64_t number; // of the frame in the capture; live: of the packet record
	std::uint64_t flow_id;
	char dir; // 'A' or 'B', by the flow's first packet
	WallTime time;
	std::chrono::nanoseconds iat;      // since the previous packet of the direction, 0 for its first
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
