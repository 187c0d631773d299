// SPDX-License-Identifier: Apache-2.0
// Turns frames into flows, either in user space or with the real XDP program.
// Both compile the same include/tcpwin headers and produce the same records.
#pragma once

#include <cstdint>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "capture/frame.hpp"
#include "config/tracking.hpp"

namespace tcpwin {

class FlowObserver {
public:
	virtual ~FlowObserver() = default;
	// In the order in which flows end (time of expiry, then number); also interim records when they are due.
	virtual void on_flow(const tcpwin_record &record) = 0;
	// Called at the packet that raised it, after the flows that ended before.
	virtual void on_alarm(const tcpwin_alarm &alarm) = 0;
	// In packet mode only. number: of the frame.
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

} // namespace tcpwin
