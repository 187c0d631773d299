// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include <fmt/chrono.h>
#include <fmt/compile.h>
#include <nlohmann/json.hpp>

#include "names.hpp"
#include "sinks/format.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;
using Out = fmt::appender;

void put_seconds(Out out, nanoseconds duration)
{
	fmt::format_to(out, FMT_COMPILE("{}.{:09}"), duration.count() / 1'000'000'000,
		       duration.count() % 1'000'000'000);
}

// RFC 3339, UTC, nanoseconds.
void put_time(Out out, WallTime time)
{
	const auto whole = std::chrono::floor<std::chrono::seconds>(time);
	fmt::format_to(out, "\"{:%Y-%m-%dT%H:%M:%S}.{:09}Z\"", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
		       (time - whole).count());
}

void put_flags(Out out, std::uint8_t flags)
{
	const char *comma = "";
#define X(name, bit)                                                   \
	if (flags & bit) {                                             \
		fmt::format_to(out, FMT_COMPILE("{}\"{}\""), comma, #name); \
		comma = ",";                                           \
	}
	TCPWIN_FLAGS(X)
#undef X
}

void put_side(Out out, const Side &side)
{
	const tcpwin_direction &d = side.direction;
	fmt::format_to(out,
		       FMT_COMPILE("{{\"ip\":\"{}\",\"port\":{},\"first_ns\":{},\"last_ns\":{},"
				   "\"packets\":{},\"bytes\":{},\"tcp_flags\":["),
		       side.ip, side.port, side.first.time_since_epoch().count(),
		       side.last.time_since_epoch().count(), d.packets, d.bytes);
	put_flags(out, d.tcp_flags);
	fmt::format_to(out,
		       FMT_COMPILE("],\"stat\":\"0x{:02x}\",\"state\":\"{}\",\"state_code\":{},"
				   "\"zero_window_count\":{},\"window_min\":{},\"window_max\":{},"
				   "\"window_last\":{},\"timeout\":"),
		       d.stat, name_of(static_cast<tcpwin_state>(d.state)), d.state, d.zero_window_count,
		       d.window_min, d.window_max, d.window_last);
	put_seconds(out, side.timeout);
	fmt::format_to(out, FMT_COMPILE("}}"));
}

// Interface names may hold any byte but '/' and white space.
std::string quote(std::string_view text)
{
	return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class JsonFormat final : public FlowFormat {
public:
	void flow(const FlowRecord &r, fmt::memory_buffer &buffer) const override
	{
		Out out(buffer);
		fmt::format_to(out,
			       FMT_COMPILE("{{\"schema\":1,\"event\":\"flow\",\"flow_id\":{},\"in_iface\":{},"
					   "\"vlan\":"),
			       r.id, quote(r.interface));
		if (r.vlan)
			fmt::format_to(out, FMT_COMPILE("{}"), r.vlan);
		else
			fmt::format_to(out, FMT_COMPILE("null"));
		fmt::format_to(out, FMT_COMPILE(",\"ip_version\":{},\"start\":"), r.ip_version);
		put_time(out, r.first);
		fmt::format_to(out, FMT_COMPILE(",\"end\":"));
		put_time(out, r.last);
		fmt::format_to(out, FMT_COMPILE(",\"start_ns\":{},\"end_ns\":{},\"duration\":"),
			       r.first.time_since_epoch().count(), r.last.time_since_epoch().count());
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

} // namespace

std::unique_ptr<FlowFormat> make_json_format()
{
	return std::make_unique<JsonFormat>();
}

} // namespace tcpwin
