// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_analysis.hpp"

namespace tcpwin {
namespace {

template <typename T> Line &operator<<(Line &line, const std::optional<T> &value)
{
	return value ? line << *value : line << "null";
}

void put_stall(Line &line, const StallFacts &stall)
{
	line << "\"stall\":{\"zero_window_segments\":" << stall.zero_window_segments
	     << ",\"episodes\":" << stall.episodes << ",\"total\":" << stall.total << ",\"longest\":" << stall.longest
	     << ",\"open\":" << (stall.open ? "true" : "false") << ",\"last_began_ns\":";
	if (stall.last_began)
		line << stall.last_began->time_since_epoch().count();
	else
		line << "null";
	line << ",\"last_ended\":";
	if (stall.last_ended)
		line << "\"" << *stall.last_ended << "\"";
	else
		line << "null";
	line << ",\"probes\":" << stall.probes << ",\"probe_answers\":" << stall.probe_answers << "}";
}

void put_window(Line &line, const WindowFacts &window)
{
	line << "\"window\":{\"scale\":";
	if (window.scaling_is_known && !window.scale)
		line << "\"none\"";
	else
		line << window.scale;
	line << ",\"min\":" << window.min << ",\"max\":" << window.max << ",\"last\":" << window.last
	     << ",\"shrinks\":" << window.shrinks << ",\"updates\":" << window.updates << ",\"full\":" << window.full
	     << "}";
}

void put_tcp(Line &line, const TcpFacts &tcp)
{
	line << "\"tcp\":{\"payload_bytes\":" << tcp.payload_bytes
	     << ",\"retransmitted_segments\":" << tcp.retransmitted_segments
	     << ",\"out_of_order_segments\":" << tcp.out_of_order_segments << ",\"keep_alives\":" << tcp.keep_alives
	     << ",\"bytes_in_flight_max\":" << tcp.bytes_in_flight_max << ",\"handshake_rtt\":" << tcp.handshake_rtt
	     << "}";
}

} // namespace

void put_analysis(Line &line, const std::optional<Analysis> &analysis)
{
	if (!analysis) {
		line << "\"stall\":null,\"window\":null,\"tcp\":null";
		return;
	}
	put_stall(line, analysis->stall);
	line << ",";
	put_window(line, analysis->window);
	line << ",";
	put_tcp(line, analysis->tcp);
}

} // namespace tcpwin
