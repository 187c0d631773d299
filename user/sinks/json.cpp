// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <nlohmann/json.hpp>

#include "record/community_id.hpp"
#include "record/names.hpp"
#include "sinks/json.hpp"
#include "sinks/json_analysis.hpp"
#include "sinks/json_line.hpp"
#include "sinks/json_stats.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

std::int64_t count(WallTime time)
{
	return time.time_since_epoch().count();
}

// The names of the bits that are set, as an array's elements.
template <std::size_t n> void put_names(Line &line, std::uint8_t bits, const BitName (&names)[n])
{
	std::string_view quote = "\"";
	for (const BitName &bit : names)
		if (bits & bit.bit) {
			line << quote << bit.name << "\"";
			quote = ",\"";
		}
}

void put_vlan(Line &line, std::uint16_t vlan)
{
	if (vlan)
		line << vlan;
	else
		line << "null";
}

void put_side(Line &line, const Side &side)
{
	const tcpwin_direction &d = side.direction;
	line << "{\"ip\":\"" << side.ip << "\",\"port\":" << side.port << ",\"first_ns\":" << count(side.first)
	     << ",\"last_ns\":" << count(side.last) << ",\"packets\":" << d.packets << ",\"bytes\":" << d.bytes
	     << ",\"tcp_flags\":[";
	put_names(line, d.tcp_flags, flag_names);
	line << "],\"stat\":";
	line.hexadecimal(d.stat) << ",\"state\":\"" << name_of(static_cast<tcpwin_state>(d.state))
				 << "\",\"state_code\":" << d.state << ",\"zero_window_count\":" << d.zero_window_count
				 << ",\"window_min\":" << d.window_min << ",\"window_max\":" << d.window_max
				 << ",\"window_last\":" << d.window_last << ",\"timeout\":" << side.timeout
				 << ",\"alarms\":[";
	put_names(line, d.alarms & TCPWIN_ALARM_ALL, alarm_names);
	line << "],";
	put_analysis(line, side.analysis);
	line << "}";
}

bool is_plain(std::string_view text)
{
	return std::all_of(text.begin(), text.end(),
			   [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

// Interface names may hold any byte but '/' and white space.
void put_interface(Line &line, std::string_view name)
{
	if (name.empty())
		line << "null";
	else if (is_plain(name))
		line << "\"" << name << "\"";
	else
		line << nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

using Seed = std::optional<std::uint16_t>;

void put_community_id(Line &line, const tcpwin_key &key, Seed seed)
{
	if (seed)
		line << ",\"community_id\":\"" << CommunityId(key, *seed).text() << "\"";
}

// What a flow has before its end is known. The line was begun.
void put_flow(Line &line, const FlowRecord &r, Seed community_id_seed)
{
	line << "\"flow_id\":" << r.id << ",\"continues\":";
	if (r.continues)
		line << r.continues;
	else
		line << "null";
	put_community_id(line, r.key, community_id_seed);
	line << ",\"in_iface\":";
	put_interface(line, r.interface);
	line << ",\"hooks\":[";
	put_names(line, r.hooks, hook_names);
	line << "],\"vlan\":";
	put_vlan(line, r.vlan);
	line << ",\"ip_version\":" << r.ip_version << ",\"start\":" << r.first << ",\"end\":" << r.last
	     << ",\"start_ns\":" << count(r.first) << ",\"end_ns\":" << count(r.last)
	     << ",\"duration\":" << r.last - r.first;
}

void put_sides(Line &line, const FlowRecord &r)
{
	line << ",\"a\":";
	put_side(line, r.a);
	line << ",\"b\":";
	if (r.b.seen())
		put_side(line, r.b);
	else
		line << "null";
	line << "}\n";
}

class JsonFlowFormat final : public FlowFormat {
public:
	explicit JsonFlowFormat(Seed community_id_seed) : community_id_seed_(community_id_seed) {}

	void flow(const FlowRecord &r, fmt::memory_buffer &buffer) const override
	{
		Line line(buffer);
		line << "{\"schema\":1,\"event\":\"flow\",";
		put_flow(line, r, community_id_seed_);
		line << ",\"end_reason\":\"" << name_of(r.reason)
		     << "\",\"interim\":" << (r.is_interim() ? "true" : "false");
		put_sides(line, r);
	}

	bool alarm(const AlarmRecord &r, fmt::memory_buffer &buffer) const override
	{
		Line line(buffer);
		line << "{\"schema\":1,\"event\":\"alarm\",\"alarm\":\"" << name_of(r.kind) << "\",\"time\":" << r.time
		     << ",\"time_ns\":" << count(r.time) << ",\"flow_id\":" << r.flow_id;
		put_community_id(line, r.key, community_id_seed_);
		line << ",\"in_iface\":";
		put_interface(line, r.interface);
		line << ",\"vlan\":";
		put_vlan(line, r.key.vlan);
		line << ",\"receiver\":{\"ip\":\"" << r.receiver_ip << "\",\"port\":" << r.receiver_port
		     << "},\"sender\":{\"ip\":\"" << r.blocked_ip << "\",\"port\":" << r.blocked_port
		     << "},\"zero_window_count\":" << r.zero_window_count;
		if (r.kind == TCPWIN_ALARM_ABORT_COUNT)
			line << ",\"abort_count\":" << r.abort_count;
		else if (r.kind == TCPWIN_ALARM_STALL)
			line << ",\"stalled_since_ns\":" << count(r.stalled_since) << ",\"stalled\":" << r.stalled
			     << ",\"stall_alarm\":" << r.stall_alarm;
		else
			line << ",\"stalled_flows\":" << r.stalled_flows << ",\"source_alarm\":" << r.source_alarm;
		line << "}\n";
		return true;
	}

	void stats(const Stats &stats, fmt::memory_buffer &buffer) const override { put_stats(stats, buffer); }

private:
	Seed community_id_seed_;
};

class JsonPacketFormat final : public PacketFormat {
public:
	void packet(const PacketRecord &r, fmt::memory_buffer &buffer) const override
	{
		Line line(buffer);
		const tcpwin_packet_event &e = r.event;
		line << "{\"schema\":1,\"event\":\"packet\",\"packet\":" << r.number << ",\"flow_id\":" << r.flow_id
		     << ",\"dir\":\"" << std::string_view(&r.dir, 1) << "\",\"time\":" << r.time
		     << ",\"time_ns\":" << count(r.time) << ",\"iat\":" << r.iat << ",\"flow_duration\":" << r.duration
		     << ",\"src_ip\":\"" << r.source_ip << "\",\"src_port\":" << r.source_port << ",\"dest_ip\":\""
		     << r.destination_ip << "\",\"dest_port\":" << r.destination_port << ",\"vlan\":";
		put_vlan(line, r.vlan);
		line << ",\"segments\":" << e.segments
		     << ",\"later_fragment\":" << (e.later_fragment ? "true" : "false") << ",\"stat\":";
		line.hexadecimal(e.stat) << ",\"state\":\"" << name_of(static_cast<tcpwin_state>(e.state))
					 << "\",\"state_code\":" << e.state << ",\"window\":";
		if (e.later_fragment)
			line << "null";
		else
			line << e.window;
		line << ",\"zero_window_count\":" << e.zero_window_count << ",\"timeout\":" << r.timeout << "}\n";
	}
};

} // namespace

void put_live_flow(const FlowRecord &record, WallTime now, Seed community_id_seed, fmt::memory_buffer &buffer)
{
	Line line(buffer);
	line << "{\"schema\":1,\"event\":\"live_flow\",\"time\":" << now << ",\"time_ns\":" << count(now) << ",";
	put_flow(line, record, community_id_seed);
	put_sides(line, record);
}

std::unique_ptr<FlowFormat> make_json_flow_format(std::optional<std::uint16_t> community_id_seed)
{
	return std::make_unique<JsonFlowFormat>(community_id_seed);
}

std::unique_ptr<PacketFormat> make_json_packet_format()
{
	return std::make_unique<JsonPacketFormat>();
}

} // namespace tcpwin
