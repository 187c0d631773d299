// SPDX-License-Identifier: Apache-2.0
#include "record/analysis.hpp"

#include <algorithm>

#include <tcpwin/stall.h>

#include "record/names.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

nanoseconds duration(std::uint64_t ns)
{
	return nanoseconds(static_cast<std::int64_t>(ns));
}

template <typename T> std::optional<T> known(bool is_known, T value)
{
	return is_known ? std::optional<T>(value) : std::nullopt;
}

bool is_timeout(std::uint8_t reason)
{
	return reason == TCPWIN_END_IDLE_TIMEOUT || reason == TCPWIN_END_ABORT_TIMEOUT ||
	       reason == TCPWIN_END_FIN_TIMEOUT;
}

std::optional<std::string_view> last_ended(const tcpwin_analysis &stats, bool open, std::uint8_t reason)
{
	if (open)
		return known(is_timeout(reason), std::string_view("timeout"));
	return known(stats.ended != TCPWIN_STALL_END_NONE, name_of(static_cast<tcpwin_stall_end>(stats.ended)));
}

StallFacts make_stall(const tcpwin_record &record, unsigned endpoint, nanoseconds wall_offset)
{
	const tcpwin_flow &flow = record.flow;
	const tcpwin_analysis &stats = flow.analysis[endpoint];
	const bool open = flow.progress[endpoint].flags & TCPWIN_STALLED, peer_seen = flow.direction[!endpoint].packets;
	const std::uint64_t last = std::max(flow.direction[0].last_ns, flow.direction[1].last_ns);
	const std::uint64_t until = record.reason == not_ended ? record.now_ns : last;
	const std::uint64_t in_open = tcpwin_open_stall_ns(&flow, endpoint, until);
	return {.zero_window_segments = stats.zero_windows,
		.episodes = stats.episodes,
		.total = duration(stats.stalled_ns + in_open),
		.longest = duration(std::max<std::uint64_t>(stats.longest_ns, in_open)),
		.open = open,
		.last_began = known(stats.episodes,
				    std::chrono::sys_time<nanoseconds>(duration(stats.stalled_since_ns) + wall_offset)),
		.last_ended = last_ended(stats, open, record.reason),
		.probes = known(peer_seen, stats.probes),
		.probe_answers = known(peer_seen, stats.probe_answers)};
}

WindowFacts make_window(const tcpwin_flow &flow, unsigned endpoint)
{
	const tcpwin_progress &progress = flow.progress[endpoint];
	const tcpwin_analysis &stats = flow.analysis[endpoint];
	const bool scaled = tcpwin_is_scaled(&flow);
	const bool sure =
		scaled || stats.scale == TCPWIN_SCALE_NONE || flow.analysis[!endpoint].scale == TCPWIN_SCALE_NONE;
	const bool any = sure && progress.window_min <= progress.window_max;
	const auto bytes = [&](std::uint16_t raw) {
		return known(any, static_cast<std::uint32_t>(raw) << progress.shift);
	};
	return {.scaling_is_known = sure,
		.scale = known(scaled, progress.shift),
		.min = bytes(progress.window_min),
		.max = bytes(progress.window_max),
		.last = bytes(progress.window),
		.shrinks = known(sure, stats.window_shrinks),
		.updates = stats.window_updates,
		.full = known(sure && flow.direction[!endpoint].packets, stats.window_full)};
}

TcpFacts make_tcp(const tcpwin_flow &flow, unsigned endpoint)
{
	const tcpwin_progress &progress = flow.progress[endpoint];
	const tcpwin_analysis &stats = flow.analysis[endpoint];
	return {.payload_bytes = progress.payload_bytes,
		.retransmitted_segments = stats.retransmitted,
		.out_of_order_segments = stats.out_of_order,
		.keep_alives = stats.keep_alives,
		.bytes_in_flight_max = known(progress.in_flight_max || !progress.payload_bytes, progress.in_flight_max),
		.handshake_rtt = known(stats.flags & TCPWIN_ANALYSIS_RTT, duration(stats.handshake_rtt_ns))};
}

} // namespace

std::optional<Analysis> make_analysis(const tcpwin_record &record, unsigned endpoint, nanoseconds wall_offset)
{
	if (!record.flow.analyzed)
		return std::nullopt;
	return Analysis{.stall = make_stall(record, endpoint, wall_offset),
			.window = make_window(record.flow, endpoint),
			.tcp = make_tcp(record.flow, endpoint)};
}

} // namespace tcpwin
