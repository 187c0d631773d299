// SPDX-License-Identifier: Apache-2.0
// A flow that ended, as a user sees it: endpoints A and B instead of lower and
// higher, wall-clock times, the same whatever source it came from.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <tcpwin/types.h>

namespace tcpwin {

// Nanoseconds since 1970, UTC.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// What one endpoint is and sent. direction.packets == 0: it sent nothing.
struct Side {
	std::string ip;
	std::uint16_t port;
	WallTime first;
	WallTime last;
	std::chrono::nanoseconds timeout; // in force at the end
	tcpwin_direction direction;

	bool seen() const { return direction.packets != 0; }
};

struct FlowRecord {
	std::uint64_t id;
	std::string_view interface; // of the first packet; valid as long as the source
	std::uint16_t vlan;         // 0: none
	int ip_version;
	tcpwin_end_reason reason;
	WallTime first;
	WallTime last;
	Side a; // always seen
	Side b;
};

// wall_offset: what to add to the record's clock to get wall-clock time.
FlowRecord make_flow_record(const tcpwin_record &record, const tcpwin_config &config,
			    std::chrono::nanoseconds wall_offset, std::string_view interface);

std::string format_address(const tcpwin_address &address);

// CLOCK_REALTIME - CLOCK_MONOTONIC, now.
std::chrono::nanoseconds wall_clock_offset();

} // namespace tcpwin
