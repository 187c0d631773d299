// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include <fmt/compile.h>
#include <nlohmann/json.hpp>

#include "names.hpp"
#include "sinks/json.hpp"
#include "sinks/json_analysis.hpp"

namespace tcpwin {
namespace {

using Out = fmt::appender;

// The names of the bits that are set, as an array's elements.
template <std::size_t n> void put_names(Out out, std::uint8_t bits, const BitName (&names)[n])
{
	const char *comma = "";
	for (const BitName &bit : names)
		if (bits & bit.bit) {
			fmt::format_to(out, FMT_COMPILE("{}\"{}\""), comma, bit.name);
			comma = ",";
		}
}

void put_vlan(Out out, std::uint16_t vlan)
{
	if (vlan)
		fmt::format_to(out, FMT_COMPILE("{}"), vlan);
	else
		fmt::format_to(out, FMT_COMPILE("null"));
}

void put_side(Out out, const Side &side)
{
	const tcpwin_direction &d = side.direction;
	fmt::format_to(out,
		       FMT_COMPILE("{{\"ip\":\"{}\",\"port\":{},\"first_ns\":{},\"last_ns\":{},"
				   "\"packets\":{},\"bytes\":{},\"tcp_flags\":["),
		       side.ip, side.port, side.first.time_since_epoch().count(),
		       side.last.time_since_epoch().count(), d.packets, d.bytes);
	put_names(out, d.tcp_flags, flag_names);
	fmt::format_to(out,
		       FMT_COMPILE("],\"stat\":\"0x{:02x}\",\"state\":\"{}\",\"state_code\":{},"
				   "\"zero_window_count\":{},\"window_min\":{},\"window_max\":{},"
				   "\"window_last\":{},\"timeout\":"),
		       d.stat, name_of(static_cast<tcpwin_state>(d.state)), d.state, d.zero_window_count,
		       d.window_min, d.window_max, d.window_last);
	put_seconds(out, side.timeout);
	fmt::format_to(out, FMT_COMPILE(","));
	put_analysis(out, side.analysis);
	fmt::format_to(out, FMT_COMPILE("}}"));
}

// Interface names may hold any byte but '/' and white space.
std::string quote(std::string_view text)
{
	return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class JsonFlowFormat final : public FlowFormat {
public:
	void flow(const FlowRecord &r, fmt::memory_buffer &buffer) const override
	{
		Out out(buffer);
		fmt::format_to(out,
			       FMT_COMPILE("{{\"schema\":1,\"event\":\"flow\",\"flow_id\":{},\"continues\":{},"
					   "\"in_iface\":{},\"hooks\":["),
			       r.id, r.continues ? fmt::format_int(r.continues).str() : "null",
			       r.interface.empty() ? "null" : quote(r.interface));
		put_names(out, r.hooks, hook_names);
		fmt::format_to(out, FMT_COMPILE("],\"vlan\":"));
		put_vlan(out, r.vlan);
		fmt::format_to(out,
			       FMT_COMPILE(",\"ip_version\":{},\"start\":\"{}\",\"end\":\"{}\",\"start_ns\":{},"
					   "\"end_ns\":{},\"duration\":"),
			       r.ip_version, format_time(r.first), format_time(r.last), r.first.time_since_epoch().count(), r.last.time_since_epoch().count());
		put_seconds(out, r.last - r.first);
		fmt::format_to(out, FMT_COMPILE(",\"end_reason\":\"{}\",\"a\":"), name_of(r.reason));
		put_side(out, r.a);
		fmt::format_to(out, FMT_COMPILE(",\"b\":"));
		if (r.b.seen())
			put_side(out, r.b);
		else
			fmt::format_to(out, FMT_COMPILE("null"));
		fmt::format_to(out, FMT_COMPILE("}}\n"));
	}
};

class JsonPacketFormat final : public PacketFormat {
public:
	void packet(const PacketRecord &r, fmt::memory_buffer &buffer) const override
	{
		Out out(buffer);
		const tcpwin_packet_event &e = r.event;
		fmt::format_to(out,
			       FMT_COMPILE("{{\"schema\":1,\"event\":\"packet\",\"packet\":{},\"flow_id\":{},"
					   "\"dir\":\"{}\",\"time\":\"{}\",\"time_ns\":{},\"iat\":"),
			       r.number, r.flow_id, r.dir, format_time(r.time), r.time.time_since_epoch().count());
		put_seconds(out, r.iat);
		fmt::format_to(out, FMT_COMPILE(",\"flow_duration\":"));
		put_seconds(out, r.duration);
		fmt::format_to(out,
			       FMT_COMPILE(",\"src_ip\":\"{}\",\"src_port\":{},\"dest_ip\":\"{}\",\"dest_port\":{},"
					   "\"vlan\":"),
			       r.source_ip, r.source_port, r.destination_ip, r.destination_port);
		put_vlan(out, r.vlan);
		fmt::format_to(out,
			       FMT_COMPILE(",\"segments\":{},\"later_fragment\":{},\"stat\":\"0x{:02x}\",\"state\":\"{}\","
					   "\"state_code\":{},\"window\":"),
			       e.segments, e.later_fragment != 0, e.stat, name_of(static_cast<tcpwin_state>(e.state)), e.state);
		if (e.later_fragment)
			fmt::format_to(out, FMT_COMPILE("null"));
		else
			fmt::format_to(out, FMT_COMPILE("{}"), e.window);
		fmt::format_to(out, FMT_COMPILE(",\"zero_window_count\":{},\"timeout\":"), e.zero_window_count);
		put_seconds(out, r.timeout);
		fmt::format_to(out, FMT_COMPILE("}}\n"));
	}
};

} // namespace

std::unique_ptr<FlowFormat> make_json_flow_format()
{
	return std::make_unique<JsonFlowFormat>();
}

std::unique_ptr<PacketFormat> make_json_packet_format()
{
	return std::make_unique<JsonPacketFormat>();
}

} // namespace tcpwin
