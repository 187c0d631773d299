// SPDX-License-Identifier: Apache-2.0
// What the live views keep of a flow: enough to sort, filter and show it, and small, because there may be millions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <tcpwin/types.h>

#include "record/analysis.hpp"

namespace tcpwin {

enum class SortKey { stalled, limited, zero_windows, bytes, packets, duration, retransmitted, idle };
inline constexpr std::array<std::string_view, 8> sort_names{"stalled", "limited",  "zero-windows",  "bytes",
							    "packets", "duration", "retransmitted", "idle"};
// By SortKey; times in nanoseconds.
using Amounts = std::array<std::uint64_t, sort_names.size()>;

inline std::uint64_t &amount(Amounts &amounts, SortKey key)
{
	return amounts[static_cast<std::size_t>(key)];
}
inline std::uint64_t amount(const Amounts &amounts, SortKey key)
{
	return amounts[static_cast<std::size_t>(key)];
}

// One endpoint; stalls are those of its receiver.
struct LiveSide {
	std::uint64_t stalled_ns; // an open stall counts up to now
	std::uint64_t longest_ns;
	std::uint64_t limited_ns;   // for how long its window held up the other side
	std::uint32_t zero_windows; // without stall analysis: packets below the window threshold
	std::uint8_t state;
	bool seen;
	bool closed; // its window, now
};

struct LiveFlow {
	tcpwin_key key;
	std::uint64_t id;
	std::uint32_t table; // flow IDs are unique within a table
	std::uint32_t ifindex;
	std::uint8_t a; // endpoint of the key
	bool analyzed;
	Verdict verdict;                     // of the side that sent more
	std::array<LiveSide, 2> side;        // A, B
	Amounts amounts;                     // of both sides
	std::array<tcpwin_socket, 2> socket; // A, B

	bool stalled() const { return side[0].closed || side[1].closed; }
};

LiveFlow make_live_flow(const tcpwin_record &record, std::uint32_t table);

// "10.0.0.1:80", "[2001:db8::1]:80"; side: 0 for A, 1 for B.
std::string endpoint_text(const LiveFlow &flow, unsigned side);

} // namespace tcpwin
