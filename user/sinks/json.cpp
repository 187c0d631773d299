// SPDX-License-Identifier: Apache-2.0
#include "sinks/json.hpp"

#include "record/community_id.hpp"
#include "record/names.hpp"
#include "sinks/json_analysis.hpp"
#include "sinks/json_line.hpp"

namespace tcpwin {
namespace {

using Seed = std::optional<std::uint16_t>;

template <typename T> std::optional<T> null_if(bool is_null, T value)
{
	return is_null ? std::nullopt : std::optional<T>(value);
}

void put_state(JsonLine &line, std::uint8_t stat, std::uint8_t state)
{
	line.member<"stat">(Hexadecimal{stat});
	line.member<"state">(Plain{name_of(static_cast<tcpwin_state>(state))});
	line.member<"state_code">(state);
}

std::optional<std::string_view> null_if_empty(std::string_view text)
{
	return null_if(text.empty(), text);
}

void put_socket(JsonLine &line, const std::optional<SocketState> &socket)
{
	if (!socket) {
		line.member<"socket">(nullptr);
		return;
	}
	line.open("socket");
	line.member<"receive_queue">(socket->receive_queue);
	line.member<"receive_buffer">(socket->receive_buffer);
	line.member<"rwnd_limited">(std::chrono::nanoseconds(socket->rwnd_limited));
	line.close();
}

void put_local(JsonLine &line, const Local &local)
{
	if (!local) {
		line.member<"local">(nullptr);
		return;
	}
	static const Cgroup unknown{};
	const Cgroup &cgroup = local->cgroup ? *local->cgroup : unknown;
	line.open("local");
	line.member<"uid">(local->uid);
	if (local->pids.empty())
		line.member<"pids">(nullptr);
	else
		line.member<"pids">(local->pids);
	line.member<"command">(null_if_empty(local->command));
	line.member<"cgroup">(null_if_empty(cgroup.path));
	line.member<"unit">(null_if_empty(cgroup.unit));
	line.member<"container">(null_if_empty(cgroup.container));
	line.member<"pod">(null_if_empty(cgroup.pod));
	put_socket(line, local->socket);
	line.close();
}

void put_side(JsonLine &line, std::string_view name, const Side &side)
{
	const tcpwin_direction &d = side.direction;
	line.open(name);
	line.member<"ip">(Plain{side.ip});
	line.member<"port">(side.port);
	line.member<"first_ns">(side.first);
	line.member<"last_ns">(side.last);
	line.member<"packets">(d.packets);
	line.member<"bytes">(d.bytes);
	line.member<"tcp_flags">(BitNames{d.tcp_flags, flag_names});
	put_state(line, d.stat, d.state);
	line.member<"zero_window_count">(d.zero_window_count);
	line.member<"window_min">(d.window_min);
	line.member<"window_max">(d.window_max);
	line.member<"window_last">(d.window_last);
	line.member<"timeout">(side.timeout);
	line.member<"alarms">(BitNames{static_cast<std::uint8_t>(d.alarms & TCPWIN_ALARM_ALL), alarm_names});
	put_analysis(line, side.analysis);
	put_local(line, side.local);
	line.close();
}

void put_community_id(JsonLine &line, const tcpwin_key &key, Seed seed)
{
	if (seed)
		line.member<"community_id">(Plain{CommunityId(key, *seed).text()});
}

// Interface names may hold any byte but '/' and white space.
void put_interface(JsonLine &line, std::string_view name)
{
	line.member<"in_iface">(null_if(name.empty(), name));
}

void put_vlan(JsonLine &line, std::uint16_t vlan)
{
	line.member<"vlan">(null_if(!vlan, vlan));
}

// The fields of a flow that are known before it ends.
void put_flow(JsonLine &line, const FlowRecord &r, Seed community_id_seed)
{
	line.member<"flow_id">(r.id);
	line.member<"continues">(null_if(!r.continues, r.continues));
	put_community_id(line, r.key, community_id_seed);
	put_interface(line, r.interface);
	line.member<"hooks">(BitNames{r.hooks, hook_names});
	put_vlan(line, r.vlan);
	line.member<"vlans">(r.vlans);
	line.member<"ip_version">(r.ip_version);
	line.member<"start">(Rfc3339{r.first});
	line.member<"end">(Rfc3339{r.last});
	line.member<"start_ns">(r.first);
	line.member<"end_ns">(r.last);
	line.member<"duration">(r.last - r.first);
}

void put_sides(JsonLine &line, const FlowRecord &r)
{
	put_side(line, "a", r.a);
	if (r.b.seen())
		put_side(line, "b", r.b);
	else
		line.member<"b">(nullptr);
}

// The caller closes it, and may add members before.
void open_endpoint(JsonLine &line, std::string_view name, std::string_view ip, std::uint16_t port)
{
	line.open(name);
	line.member<"ip">(Plain{ip});
	line.member<"port">(port);
}

void put_endpoint(JsonLine &line, std::string_view name, std::string_view ip, std::uint16_t port, const Local &local)
{
	open_endpoint(line, name, ip, port);
	put_local(line, local);
	line.close();
}

// What was exceeded, and by how much.
void put_cause(JsonLine &line, const AlarmRecord &r)
{
	switch (r.kind) {
	case TCPWIN_ALARM_ABORT_COUNT:
		line.member<"abort_count">(r.abort_count);
		break;
	case TCPWIN_ALARM_STALL:
		line.member<"stalled_since_ns">(r.stalled_since);
		line.member<"stalled">(r.stalled);
		line.member<"stall_alarm">(r.stall_alarm);
		break;
	case TCPWIN_ALARM_STALLED_FLOWS:
		line.member<"stalled_flows">(r.stalled_flows);
		line.member<"source_alarm">(r.source_alarm);
		break;
	case TCPWIN_ALARM_LIMITED:
		line.member<"limited">(r.limited);
		line.member<"limited_alarm">(r.limited_alarm);
		break;
	case TCPWIN_ALARM_ALL:
		break;
	}
}

void put_time(JsonLine &line, WallTime time)
{
	line.member<"time">(Rfc3339{time});
	line.member<"time_ns">(time);
}

void put_syn_flood(const SynFloodAlarm &alarm, fmt::memory_buffer &buffer)
{
	JsonLine line(buffer, "alarm");
	line.member<"alarm">(Plain{"syn_flood"});
	put_time(line, alarm.time);
	put_vlan(line, alarm.vlan);
	open_endpoint(line, "receiver", alarm.receiver_ip, alarm.receiver_port);
	line.close();
	line.member<"rate">(alarm.rate);
	line.member<"syn_flood_alarm">(alarm.syn_flood_alarm);
}

void put_unanswered(const UnansweredRecord &record, fmt::memory_buffer &buffer)
{
	JsonLine line(buffer, "unanswered");
	put_time(line, record.time);
	line.member<"flows">(record.totals.flows);
	line.member<"packets">(record.totals.packets);
	line.member<"bytes">(record.bytes);
	line.member<"evicted">(record.evicted);
	line.member<"unanswered_timeout">(record.timed_out);
	line.open_array("receivers");
	for (const UnansweredRecord::Receiver &receiver : record.receivers) {
		line.open();
		line.member<"ip">(Plain{receiver.ip});
		line.member<"port">(receiver.port);
		line.member<"flows">(receiver.flows);
		line.close();
	}
	line.close_array();
	line.member<"other_flows">(record.other_flows);
	line.member<"unrecorded_flows">(record.unrecorded_flows);
	line.member<"unrecorded_packets">(record.unrecorded_packets);
}

class JsonFlowFormat final : public FlowFormat {
public:
	explicit JsonFlowFormat(Seed community_id_seed) : community_id_seed_(community_id_seed) {}

	void flow(const FlowRecord &r, fmt::memory_buffer &buffer) const override
	{
		JsonLine line(buffer, "flow");
		put_flow(line, r, community_id_seed_);
		line.member<"end_reason">(Plain{name_of(r.reason)});
		line.member<"interim">(r.is_interim());
		put_sides(line, r);
	}

	bool alarm(const AlarmRecord &r, fmt::memory_buffer &buffer) const override
	{
		JsonLine line(buffer, "alarm");
		line.member<"alarm">(Plain{name_of(r.kind)});
		put_time(line, r.time);
		line.member<"flow_id">(r.flow_id);
		put_community_id(line, r.key, community_id_seed_);
		put_interface(line, r.interface);
		put_vlan(line, r.key.vlan);
		put_endpoint(line, "receiver", r.receiver_ip, r.receiver_port, r.receiver_local);
		put_endpoint(line, "sender", r.blocked_ip, r.blocked_port, r.blocked_local);
		line.member<"zero_window_count">(r.zero_window_count);
		put_cause(line, r);
		return true;
	}

	bool syn_flood(const SynFloodAlarm &alarm, fmt::memory_buffer &buffer) const override
	{
		put_syn_flood(alarm, buffer);
		return true;
	}

	void unanswered(const UnansweredRecord &record, fmt::memory_buffer &buffer) const override
	{
		put_unanswered(record, buffer);
	}

	void stats(const Stats &stats, fmt::memory_buffer &buffer) const override { put_stats(stats, buffer); }

private:
	Seed community_id_seed_;
};

class JsonPacketFormat final : public PacketFormat {
public:
	void packet(const PacketRecord &r, fmt::memory_buffer &buffer) const override
	{
		const tcpwin_packet_event &e = r.event;
		JsonLine line(buffer, "packet");
		line.member<"packet">(r.number);
		line.member<"flow_id">(r.flow_id);
		line.member<"dir">(Plain{{&r.dir, 1}});
		line.member<"time">(Rfc3339{r.time});
		line.member<"time_ns">(r.time);
		line.member<"iat">(r.iat);
		line.member<"flow_duration">(r.duration);
		line.member<"src_ip">(Plain{r.source_ip});
		line.member<"src_port">(r.source_port);
		line.member<"dest_ip">(Plain{r.destination_ip});
		line.member<"dest_port">(r.destination_port);
		put_vlan(line, r.vlan);
		line.member<"segments">(e.segments);
		line.member<"later_fragment">(e.later_fragment != 0);
		put_state(line, e.stat, e.state);
		line.member<"window">(null_if(e.later_fragment, e.window));
		line.member<"zero_window_count">(e.zero_window_count);
		line.member<"timeout">(r.timeout);
	}
};

} // namespace

void put_live_flow(const FlowRecord &record, WallTime now, Seed community_id_seed, fmt::memory_buffer &buffer)
{
	JsonLine line(buffer, "live_flow");
	put_time(line, now);
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
