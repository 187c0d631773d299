// SPDX-License-Identifier: Apache-2.0
#include "record/record.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <tcpwin/segment.h>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

WallTime wall_time(std::uint64_t clock_ns, nanoseconds offset)
{
	return WallTime(nanoseconds(static_cast<std::int64_t>(clock_ns)) + offset);
}

nanoseconds timeout_of(std::uint8_t timeout, const tcpwin_config &config)
{
	return nanoseconds(config.timeout_ns[timeout % TCPWIN_TIMEOUT_SLOTS]);
}

nanoseconds since(std::uint64_t then_ns, std::uint64_t now_ns)
{
	return nanoseconds(tcpwin_since(then_ns, now_ns));
}

Side make_side(const tcpwin_record &record, unsigned endpoint, const tcpwin_config &config, nanoseconds offset,
	       const Locals &locals)
{
	const tcpwin_direction &direction = record.flow.direction[endpoint];
	return {
		.ip = format_address(record.key.address[endpoint]),
		.port = record.key.port[endpoint],
		.first = wall_time(direction.first_ns, offset),
		.last = wall_time(direction.last_ns, offset),
		.timeout = timeout_of(direction.timeout, config),
		.direction = direction,
		.analysis = make_analysis(record, endpoint, offset),
		.local = locals[endpoint],
	};
}

AlarmRecord make_alarm_record(const tcpwin_alarm &alarm, tcpwin_alarm_kind kind, unsigned receiver,
			      const tcpwin_config &config, nanoseconds wall_offset, std::string_view interface,
			      const Locals &locals)
{
	const unsigned blocked = receiver ^ 1;
	const std::uint64_t stalled_since = alarm.stalled_since_ns[receiver];
	AlarmRecord record{
		.kind = kind,
		.time = wall_time(alarm.now_ns, wall_offset),
		.flow_id = alarm.flow_id,
		.key = alarm.key,
		.interface = interface,
		.receiver_ip = format_address(alarm.key.address[receiver]),
		.receiver_port = alarm.key.port[receiver],
		.blocked_ip = format_address(alarm.key.address[blocked]),
		.blocked_port = alarm.key.port[blocked],
		.zero_window_count = alarm.zero_window_count[receiver],
		.abort_count = config.abort_count,
		.stalled_since = {},
		.stalled = {},
		.stall_alarm = nanoseconds(config.stall_alarm_ns),
		.limited = nanoseconds(alarm.limited_ns[receiver]),
		.limited_alarm = nanoseconds(config.limited_alarm_ns),
		.stalled_flows = alarm.stalled_flows,
		.source_alarm = config.source_alarm,
		.receiver_local = locals[receiver],
		.blocked_local = locals[blocked],
	};
	if (kind == TCPWIN_ALARM_STALL) {
		record.stalled_since = wall_time(stalled_since, wall_offset);
		record.stalled = since(stalled_since, alarm.now_ns);
	}
	return record;
}

} // namespace

bool is_mapped_ipv4(const tcpwin_address &address)
{
	static constexpr std::array<unsigned char, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return std::equal(prefix.begin(), prefix.end(), address.byte);
}

std::string format_address(const tcpwin_address &address)
{
	const std::uint8_t *b = address.byte;
	std::array<char, INET6_ADDRSTRLEN> text{};
	if (is_mapped_ipv4(address)) {
		char *end = text.data();
		for (int i = 12; i < 16; i++) {
			end = std::to_chars(end, end + 3, b[i]).ptr;
			*end++ = '.';
		}
		return {text.data(), end - 1};
	}
	inet_ntop(AF_INET6, b, text.data(), text.size());
	return text.data();
}

VlanIds::VlanIds(const tcpwin_key &key, const tcpwin_flow &flow)
{
	const auto &[one, other] = flow.analysis;
	std::array<std::uint16_t, most> noted{one.vlans[0], one.vlans[1], other.vlans[0], other.vlans[1]};
	if (key.vlan)
		noted = {key.vlan};
	std::ranges::sort(noted);
	for (const std::uint16_t id : noted)
		if (id && (!count_ || id != ids_[count_ - 1]))
			ids_[count_++] = id;
}

unsigned endpoint_a(const tcpwin_flow &flow)
{
	const unsigned a = flow.a_side & 1;
	return flow.direction[a].packets ? a : !a;
}

FlowRecord make_flow_record(const tcpwin_record &record, const tcpwin_config &config, nanoseconds wall_offset,
			    std::string_view interface, const Locals &locals)
{
	const unsigned a = endpoint_a(record.flow);
	FlowRecord flow{
		.id = record.flow.id,
		.continues = record.flow.continues_back ? record.flow.id - record.flow.continues_back : 0,
		.key = record.key,
		.interface = interface,
		.hooks = static_cast<std::uint8_t>(record.flow.hooks & TCPWIN_HOOK_ALL),
		.vlan = record.key.vlan,
		.vlans = VlanIds(record.key, record.flow),
		.ip_version = is_mapped_ipv4(record.key.address[0]) ? 4 : 6,
		.reason = static_cast<tcpwin_end_reason>(record.reason),
		.first = {},
		.last = {},
		.a = make_side(record, a, config, wall_offset, locals),
		.b = make_side(record, !a, config, wall_offset, locals),
	};
	flow.first = flow.b.seen() ? std::min(flow.a.first, flow.b.first) : flow.a.first;
	flow.last = flow.b.seen() ? std::max(flow.a.last, flow.b.last) : flow.a.last;
	return flow;
}

PacketRecord make_packet_record(const tcpwin_packet_event &event, std::uint64_t number, const tcpwin_config &config,
				nanoseconds wall_offset)
{
	const unsigned from = event.from & 1, to = from ^ 1;
	return {
		.number = number,
		.flow_id = event.flow_id,
		.dir = from == event.a_side ? 'A' : 'B',
		.time = wall_time(event.now_ns, wall_offset),
		.iat = since(event.previous_ns, event.now_ns),
		.duration = since(event.first_ns, event.now_ns),
		.source_ip = format_address(event.key.address[from]),
		.destination_ip = format_address(event.key.address[to]),
		.source_port = event.key.port[from],
		.destination_port = event.key.port[to],
		.vlan = event.key.vlan,
		.timeout = timeout_of(event.timeout, config),
		.event = event,
	};
}

std::vector<AlarmRecord> make_alarm_records(const tcpwin_alarm &alarm, const tcpwin_config &config,
					    nanoseconds wall_offset, std::string_view interface, const Locals &locals)
{
	static constexpr tcpwin_alarm_kind kinds[] = {
#define X(name, bit, text) TCPWIN_ALARM_##name,
		TCPWIN_ALARMS(X)
#undef X
	};
	std::vector<AlarmRecord> all;
	for (unsigned receiver : {0, 1})
		for (tcpwin_alarm_kind kind : kinds)
			if (alarm.raised[receiver] & kind)
				all.push_back(make_alarm_record(alarm, kind, receiver, config, wall_offset, interface,
								locals));
	return all;
}

} // namespace tcpwin
