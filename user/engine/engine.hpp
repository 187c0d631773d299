// SPDX-License-Identifier: Apache-2.0
// What turns frames into flows: either in user space, or the real XDP program.
// Both compile the same include/tcpwin headers and give the same records.
#pragma once

#include <cstdint>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "capture/frame.hpp"

namespace tcpwin {

class FlowObserver {
public:
	virtual ~FlowObserver() = default;
	// In the order in which flows end (time of expiry, then number); also of flows that go on, when that is due.
	virtual void on_flow(const tcpwin_record &record) = 0;
	// At the packet that raised it, after the flows that ended before.
	virtual void on_alarm(const tcpwin_alarm &alarm) = 0;
	// Only if packet mode is on; number: the frame's.
	virtual void on_packet(const tcpwin_packet_event &event, std::uint64_t number) = 0;
};

class Engine {
public:
	virtual ~Engine() = default;
	// A flow ends at the first frame, of any flow, whose time reaches its expiry.
	virtual Result<void> packet(const Frame &frame) = 0;
	// Ends every remaining flow, reason shutdown.
	virtual Result<void> finish() = 0;
	virtual Result<tcpwin_counters> counters() const = 0;
};

struct EngineOptions {
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	bool report_packets = false;
	bool analyze_stalls = true;
	std::uint32_t max_flows = 262'144; // of the kernel engine's table
};

} // namespace tcpwin
