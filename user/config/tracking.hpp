// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <tcpwin/types.h>

namespace tcpwin {

// How flows are tracked, live or in a replay.
struct TrackingOptions {
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	std::string profile;               // that config is based on
	bool report_packets = false;       // packet mode
	bool analyze_stalls = true;        // false: stall, window and tcp of a record are null
	std::uint32_t max_flows = 262'144; // entries of the kernel's flow table
};

} // namespace tcpwin
