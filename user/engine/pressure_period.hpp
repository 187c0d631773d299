// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <tcpwin/pressure.h>

namespace tcpwin {

// When the pressure is examined, in the time of the frames.
class PressurePeriod {
public:
	// Whether a period begins with a frame at this time. Call it for every frame.
	bool begins(std::uint64_t now_ns)
	{
		if (now_ns - began_ns_ < TCPWIN_PRESSURE_PERIOD_NS) // true if the time went back
			return false;
		began_ns_ = now_ns;
		return true;
	}

private:
	std::uint64_t began_ns_ = 0;
};

} // namespace tcpwin
