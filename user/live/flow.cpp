// SPDX-License-Identifier: Apache-2.0
#include "live/flow.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <tcpwin/segment.h>

#include "record/record.hpp"

namespace tcpwin {
namespace {

std::uint64_t nanoseconds_of(std::chrono::nanoseconds time)
{
	return static_cast<std::uint64_t>(time.count());
}

using Analyses = std::array<std::optional<Analysis>, 2>; // A, B

// What held up the side that sent more.
Verdict verdict_of(const Analyses &analyses)
{
	const auto payload = [](const std::optional<Analysis> &one) { return one ? one->tcp.payload_bytes : 0; };
	const std::optional<Analysis> &most = *std::ranges::max_element(analyses, {}, payload);
	if (!payload(most) || !most->limits)
		return {};
	return judge_limits(most->limits->receiver, most->limits->network, most->limits->application);
}

LiveSide make_side(const tcpwin_direction &direction, const std::optional<Analysis> &analysis,
		   const std::optional<Analysis> &peer)
{
	LiveSide side{.stalled_ns = 0,
		      .longest_ns = 0,
		      .limited_ns = 0,
		      .zero_windows = static_cast<std::uint32_t>(direction.zero_window_count),
		      .state = direction.state,
		      .seen = direction.packets != 0,
		      .closed = false};
	if (!analysis)
		return side;
	if (peer && peer->limits)
		side.limited_ns = nanoseconds_of(peer->limits->receiver);
	side.stalled_ns = nanoseconds_of(analysis->stall.total);
	side.longest_ns = nanoseconds_of(analysis->stall.longest);
	side.zero_windows = analysis->stall.zero_window_segments;
	side.closed = analysis->stall.open;
	return side;
}

} // namespace

LiveFlow make_live_flow(const tcpwin_record &record, std::uint32_t table)
{
	const tcpwin_flow &flow = record.flow;
	const unsigned a = endpoint_a(flow);
	const Analyses analyses{make_analysis(record, a, std::chrono::nanoseconds(0)),
				make_analysis(record, a ^ 1, std::chrono::nanoseconds(0))};
	LiveFlow live{.key = record.key,
		      .id = flow.id,
		      .table = table,
		      .ifindex = flow.ifindex,
		      .a = static_cast<std::uint8_t>(a),
		      .analyzed = flow.analyzed != 0,
		      .verdict = verdict_of(analyses),
		      .side = {},
		      .amounts = {},
		      .socket = {flow.socket[a], flow.socket[a ^ 1]}};
	std::uint64_t first = UINT64_MAX, last = 0;
	for (unsigned i = 0; i < 2; i++) {
		const tcpwin_direction &direction = flow.direction[a ^ i];
		const auto &analysis = analyses[i];
		const LiveSide &side = live.side[i] = make_side(direction, analysis, analyses[!i]);
		amount(live.amounts, SortKey::stalled) += side.stalled_ns;
		amount(live.amounts, SortKey::limited) += side.limited_ns;
		amount(live.amounts, SortKey::zero_windows) += side.zero_windows;
		amount(live.amounts, SortKey::bytes) += direction.bytes;
		amount(live.amounts, SortKey::packets) += direction.packets;
		amount(live.amounts, SortKey::retransmitted) += analysis ? analysis->tcp.retransmitted_segments : 0;
		if (side.seen) {
			first = std::min<std::uint64_t>(first, direction.first_ns);
			last = std::max<std::uint64_t>(last, direction.last_ns);
		}
	}
	amount(live.amounts, SortKey::duration) = tcpwin_since(first, last);
	amount(live.amounts, SortKey::idle) = tcpwin_since(last, record.now_ns);
	return live;
}

std::string endpoint_text(const LiveFlow &flow, unsigned side)
{
	const unsigned endpoint = flow.a ^ side;
	const tcpwin_address &address = flow.key.address[endpoint];
	const char *format = is_mapped_ipv4(address) ? "{}:{}" : "[{}]:{}";
	return fmt::format(fmt::runtime(format), format_address(address), flow.key.port[endpoint]);
}

} // namespace tcpwin
