// SPDX-License-Identifier: Apache-2.0
#include "record.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <ctime>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

bool is_mapped_ipv4(const tcpwin_address &address)
{
	static constexpr std::array<unsigned char, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return std::equal(prefix.begin(), prefix.end(), address.byte);
}

nanoseconds clock_now(clockid_t clock)
{
	timespec now{};
	clock_gettime(clock, &now);
	return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

Side make_side(const tcpwin_record &record, unsigned endpoint, const tcpwin_config &config, nanoseconds offset)
{
	const tcpwin_direction &direction = record.flow.direction[endpoint];
	const auto wall = [offset](std::uint64_t ns) {
		return WallTime(nanoseconds(static_cast<std::int64_t>(ns)) + offset);
	};
	return {
		.ip = format_address(record.key.address[endpoint]),
		.port = record.key.port[endpoint],
		.first = wall(direction.first_ns),
		.last = wall(direction.last_ns),
		.timeout = nanoseconds(config.timeout_ns[direction.timeout % TCPWIN_TIMEOUT_COUNT]),
		.direction = direction,
	};
}

} // namespace

std::string format_address(const tcpwin_address &address)
{
	std::array<char, INET6_ADDRSTRLEN> text{};
	if (is_mapped_ipv4(address))
		inet_ntop(AF_INET, address.byte + 12, text.data(), text.size());
	else
		inet_ntop(AF_INET6, address.byte, text.data(), text.size());
	return text.data();
}

nanoseconds wall_clock_offset()
{
	return clock_now(CLOCK_REALTIME) - clock_now(CLOCK_MONOTONIC);
}

FlowRecord make_flow_record(const tcpwin_record &record, const tcpwin_config &config, nanoseconds wall_offset,
			    std::string_view interface)
{
	// A flow with one direction only is written as A.
	unsigned a = record.flow.a_side & 1;
	if (!record.flow.direction[a].packets)
		a = !a;

	FlowRecord flow{
		.id = record.flow.id,
		.interface = interface,
		.vlan = record.key.vlan,
		.ip_version = is_mapped_ipv4(record.key.address[0]) ? 4 : 6,
		.reason = static_cast<tcpwin_end_reason>(record.reason),
		.first = {},
		.last = {},
		.a = make_side(record, a, config, wall_offset),
		.b = make_side(record, !a, config, wall_offset),
	};
	flow.first = flow.b.seen() ? std::min(flow.a.first, flow.b.first) : flow.a.first;
	flow.last = flow.b.seen() ? std::max(flow.a.last, flow.b.last) : flow.a.last;
	return flow;
}

} // namespace tcpwin
