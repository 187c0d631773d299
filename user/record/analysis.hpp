// SPDX-License-Identifier: Apache-2.0
// The stall analysis of one side of a flow as a user sees it. What cannot be known has no value.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include <tcpwin/types.h>

namespace tcpwin {

// Reason of the record of a flow that has not ended.
inline constexpr auto not_ended = TCPWIN_END_COUNT;

// Of this side's receiver: its peer had to wait, and sent the probes.
struct StallFacts {
	std::uint32_t zero_window_segments;
	std::uint32_t episodes;
	std::chrono::nanoseconds
		total; // the open one up to the flow's last packet, or to now if the flow has not ended
	std::chrono::nanoseconds longest;
	bool open;
	std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> last_began;
	std::optional<std::string_view> last_ended;
	std::optional<std::uint32_t> probes;
	std::optional<std::uint32_t> probe_answers;
};

// Of the windows that this side announced; min, max and last in bytes.
struct WindowFacts {
	bool scaling_is_known;
	std::optional<std::uint8_t> scale; // none: not known, or no scaling
	std::optional<std::uint32_t> min;
	std::optional<std::uint32_t> max;
	std::optional<std::uint32_t> last;
	std::optional<std::uint32_t> shrinks;
	std::uint32_t updates;
	std::optional<std::uint32_t> full; // segments of the peer that reached its end
};

// Of what this side sent.
struct TcpFacts {
	std::uint64_t payload_bytes;
	std::uint32_t retransmitted_segments;
	std::uint32_t out_of_order_segments;
	std::uint32_t keep_alives;
	std::optional<std::uint32_t> bytes_in_flight_max;
	std::optional<std::chrono::nanoseconds> handshake_rtt; // from the peer's SYN to this side's answer
};

struct Analysis {
	StallFacts stall;
	WindowFacts window;
	TcpFacts tcp;
};

// Of the key's endpoint. Nothing if the flow was not analyzed.
// wall_offset: what to add to the record's clock to get wall-clock time.
std::optional<Analysis> make_analysis(const tcpwin_record &record, unsigned endpoint,
				      std::chrono::nanoseconds wall_offset);

} // namespace tcpwin
