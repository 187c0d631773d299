// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include <tcpwin/types.h>

namespace tcpwin {

// Sums all counters; peak_flows, a maximum, becomes the larger of the two.
inline void add_counters(tcpwin_counters &sum, const tcpwin_counters &more)
{
	for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
		sum.value[i] += more.value[i];
	sum.peak_flows = std::max(sum.peak_flows, more.peak_flows);
}

} // namespace tcpwin
