// SPDX-License-Identifier: Apache-2.0
#include "record/analysis.hpp"

#include <algorithm>

#include <tcpwin/limits.h>
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

// In units of tcpwin_limits_time.
nanoseconds limits_sum(std::uint32_t one, std::uint32_t other)
{
	return duration((std::uint64_t{one} + other) << TCPWIN_LIMITS_SHIFT);
}

// Up to when an open stall, or what holds the sender up, counts.
std::uint64_t counted_until(const tcpwin_record &record)
{
	const tcpwin_flow &flow = record.flow;
	return record.reason == not_ended ? record.now_ns :
					    std::max(flow.direction[0].last_ns, flow.direction[1].last_ns);
}

// Whether the last segments of an endpoint are RSTs in the window but not at the next number. Their receiver accepts such
// a one if packets before it are missing here, and would otherwise have answered (RFC 5961).
bool ends_with_doubted_rst(const tcpwin_record &record)
{
	const auto &[one, other] = record.flow.progress;
	return record.reason != not_ended && (one.flags | other.flags) & TCPWIN_DOUBTED_RST;
}

// An endpoint, with the values from which several fields are computed.
struct Endpoint {
	Endpoint(const tcpwin_record &record, unsigned endpoint, nanoseconds offset)
		: progress(record.flow.progress[endpoint]), stats(record.flow.analysis[endpoint]),
		  limits(tcpwin_limits_at(&record.flow, endpoint, counted_until(record))), reason(record.reason),
		  wall_offset(offset), open_ns(tcpwin_open_stall_ns(&record.flow, endpoint, counted_until(record))),
		  is_stalled(progress.flags & TCPWIN_STALLED), is_open(is_stalled && !ends_with_doubted_rst(record)),
		  peer_seen(record.flow.direction[!endpoint].packets), is_scaled(tcpwin_is_scaled(&record.flow)),
		  scaling_is_known(is_scaled || stats.scale == TCPWIN_SCALE_NONE ||
				   record.flow.analysis[!endpoint].scale == TCPWIN_SCALE_NONE)
	{
	}

	WallTime wall_time(std::uint64_t clock_ns) const { return WallTime(duration(clock_ns) + wall_offset); }

	std::optional<StallEnd> last_ended() const
	{
		if (is_open)
			return known(is_timeout(reason), StallEnd("timeout"));
		if (is_stalled)
			return StallEnd(name_of(TCPWIN_STALL_END_RESET));
		return known(stats.ended != TCPWIN_STALL_END_NONE,
			     StallEnd(name_of(static_cast<tcpwin_stall_end>(stats.ended))));
	}

	WindowScale scale() const { return {scaling_is_known, known(is_scaled, progress.shift)}; }

	std::optional<WindowBytes> window_bytes(std::uint16_t raw) const
	{
		const bool any = progress.window_min <= progress.window_max;
		return known(scaling_is_known && any, WindowBytes{static_cast<std::uint32_t>(raw) << progress.shift});
	}

	const tcpwin_progress &progress;
	const tcpwin_analysis &stats;
	tcpwin_limits limits;
	std::uint8_t reason;
	nanoseconds wall_offset;
	std::uint64_t open_ns; // of the open episode, or 0
	bool is_stalled;
	bool is_open;
	bool peer_seen;
	bool is_scaled;
	bool scaling_is_known;
};

} // namespace

Verdict judge_limits(nanoseconds receiver, nanoseconds network, nanoseconds application)
{
	constexpr auto least = std::chrono::milliseconds(100);
	const auto whole = receiver + network + application;
	if (whole < least)
		return {};
	const auto most = std::max({receiver, network, application});
	return {.limit = most == receiver ? Limit::receiver :
			 most == network  ? Limit::network :
					    Limit::application,
		.percent = static_cast<unsigned>(most * 100 / whole)};
}

std::optional<Analysis> make_analysis(const tcpwin_record &record, unsigned endpoint, nanoseconds wall_offset)
{
	if (!record.flow.analyzed)
		return std::nullopt;
	const Endpoint side(record, endpoint, wall_offset);
#define X(type, name, value, description) .name = value,
	return Analysis{.stall = {TCPWIN_STALL_FIELDS(X)},
			.window = {TCPWIN_WINDOW_FIELDS(X)},
			.limits = known(side.peer_seen, LimitsFacts{TCPWIN_LIMITS_FIELDS(X)}),
			.tcp = {TCPWIN_TCP_FIELDS(X)}};
#undef X
}

} // namespace tcpwin
