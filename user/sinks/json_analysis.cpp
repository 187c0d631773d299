// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_analysis.hpp"

#include <fmt/compile.h>

namespace tcpwin {
namespace {

using Out = fmt::appender;

template <typename T> void put_or_null(Out out, const std::optional<T> &number)
{
	if (number)
		fmt::format_to(out, FMT_COMPILE("{}"), *number);
	else
		fmt::format_to(out, FMT_COMPILE("null"));
}

template <typename T> void put_member(Out out, std::string_view name, const std::optional<T> &number)
{
	fmt::format_to(out, FMT_COMPILE(",\"{}\":"), name);
	put_or_null(out, number);
}

void put_stall(Out out, const StallFacts &stall)
{
	fmt::format_to(out, FMT_COMPILE("\"stall\":{{\"zero_window_segments\":{},\"episodes\":{},\"total\":"),
		       stall.zero_window_segments, stall.episodes);
	put_seconds(out, stall.total);
	fmt::format_to(out, FMT_COMPILE(",\"longest\":"));
	put_seconds(out, stall.longest);
	fmt::format_to(out, FMT_COMPILE(",\"open\":{},\"last_ended\":"), stall.open);
	if (stall.last_ended)
		fmt::format_to(out, FMT_COMPILE("\"{}\""), *stall.last_ended);
	else
		fmt::format_to(out, FMT_COMPILE("null"));
	put_member(out, "probes", stall.probes);
	put_member(out, "probe_answers", stall.probe_answers);
	fmt::format_to(out, FMT_COMPILE("}}"));
}

void put_window(Out out, const WindowFacts &window)
{
	fmt::format_to(out, FMT_COMPILE("\"window\":{{\"scale\":"));
	if (window.scaling_is_known && !window.scale)
		fmt::format_to(out, FMT_COMPILE("\"none\""));
	else
		put_or_null(out, window.scale);
	put_member(out, "min", window.min);
	put_member(out, "max", window.max);
	put_member(out, "last", window.last);
	put_member(out, "shrinks", window.shrinks);
	fmt::format_to(out, FMT_COMPILE(",\"updates\":{}"), window.updates);
	put_member(out, "full", window.full);
	fmt::format_to(out, FMT_COMPILE("}}"));
}

void put_tcp(Out out, const TcpFacts &tcp)
{
	fmt::format_to(out,
		       FMT_COMPILE("\"tcp\":{{\"payload_bytes\":{},\"retransmitted_segments\":{},"
				   "\"out_of_order_segments\":{},\"keep_alives\":{}"),
		       tcp.payload_bytes, tcp.retransmitted_segments, tcp.out_of_order_segments, tcp.keep_alives);
	put_member(out, "bytes_in_flight_max", tcp.bytes_in_flight_max);
	fmt::format_to(out, FMT_COMPILE(",\"handshake_rtt\":"));
	if (tcp.handshake_rtt)
		put_seconds(out, *tcp.handshake_rtt);
	else
		fmt::format_to(out, FMT_COMPILE("null"));
	fmt::format_to(out, FMT_COMPILE("}}"));
}

} // namespace

void put_seconds(Out out, std::chrono::nanoseconds duration)
{
	fmt::format_to(out, FMT_COMPILE("{}.{:09}"), duration.count() / 1'000'000'000,
		       duration.count() % 1'000'000'000);
}

void put_analysis(Out out, const std::optional<Analysis> &analysis)
{
	if (!analysis) {
		fmt::format_to(out, FMT_COMPILE("\"stall\":null,\"window\":null,\"tcp\":null"));
		return;
	}
	put_stall(out, analysis->stall);
	fmt::format_to(out, FMT_COMPILE(","));
	put_window(out, analysis->window);
	fmt::format_to(out, FMT_COMPILE(","));
	put_tcp(out, analysis->tcp);
}

} // namespace tcpwin
