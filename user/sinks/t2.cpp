// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include <fmt/compile.h>

#include "sinks/t2.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view flow_header = "%dir\tflowInd\ttimeFirst\ttimeLast\tduration\tvlan\tsrcIP\tsrcPort\t"
					 "dstIP\tdstPort\tl4Proto\ttcpWinStat\ttcpWinState\ttcpWinThCnt\n";
constexpr std::string_view packet_header = "pktNo\tflowInd\tdir\ttime\tpktIAT\tflowDuration\tsrcIP\tsrcPort\t"
					   "dstIP\tdstPort\tvlan\ttcpWinStat\ttcpWinState\ttcpWin\t"
					   "tcpWinThCnt\tflowTmout\n";

struct Seconds {
	std::int64_t whole;
	std::int64_t nanoseconds;
};

Seconds split(nanoseconds time)
{
	return {time.count() / 1'000'000'000, time.count() % 1'000'000'000};
}

std::string vlan_text(std::uint16_t vlan)
{
	return vlan ? fmt::format_int(vlan).str() : "-";
}

void put_direction(char dir, const FlowRecord &record, const Side &from, const Side &to, fmt::memory_buffer &out)
{
	const Seconds first = split(from.first.time_since_epoch()), last = split(from.last.time_since_epoch()),
		      duration = split(from.last - from.first);
	fmt::format_to(fmt::appender(out),
		       FMT_COMPILE("{}\t{}\t{}.{:09}\t{}.{:09}\t{}.{:09}\t{}\t{}\t{}\t{}\t{}\t{}\t"
				   "0x{:02x}\t0x{:02x}\t{}\n"),
		       dir, record.id, first.whole, first.nanoseconds, last.whole, last.nanoseconds, duration.whole,
		       duration.nanoseconds, vlan_text(record.vlan), from.ip, from.port, to.ip, to.port,
		       static_cast<int>(IPPROTO_TCP), from.direction.stat, from.direction.state,
		       from.direction.zero_window_count);
}

class T2FlowFormat final : public FlowFormat {
public:
	void begin(fmt::memory_buffer &out) const override { out.append(flow_header); }

	// The columns cannot distinguish an interim record from a record of another flow.
	bool takes(const FlowRecord &record) const override { return !record.is_interim(); }
	void flow(const FlowRecord &record, fmt::memory_buffer &out) const override
	{
		put_direction('A', record, record.a, record.b, out);
		if (record.b.seen())
			put_direction('B', record, record.b, record.a, out);
	}
};

class T2PacketFormat final : public PacketFormat {
public:
	void begin(fmt::memory_buffer &out) const override { out.append(packet_header); }

	void packet(const PacketRecord &record, fmt::memory_buffer &buffer) const override
	{
		const tcpwin_packet_event &event = record.event;
		const fmt::appender out(buffer);
		const Seconds time = split(record.time.time_since_epoch()), iat = split(record.iat),
			      duration = split(record.duration);
		// A later fragment has no TCP header, so no ports either.
		const bool header = !event.later_fragment;

		fmt::format_to(out, FMT_COMPILE("{}\t{}\t{}\t{}.{:09}\t{}.{:09}\t{}.{:09}\t{}\t{}\t{}\t{}\t{}"),
			       record.number, record.flow_id, record.dir, time.whole, time.nanoseconds, iat.whole,
			       iat.nanoseconds, duration.whole, duration.nanoseconds, record.source_ip,
			       header ? record.source_port : 0, record.destination_ip,
			       header ? record.destination_port : 0, vlan_text(record.vlan));
		if (header)
			fmt::format_to(out, FMT_COMPILE("\t0x{:02x}\t0x{:02x}\t{}\t{}\t{}.{:06}\n"), event.stat,
				       event.state, event.window, event.zero_window_count, split(record.timeout).whole,
				       split(record.timeout).nanoseconds / 1000);
		else
			fmt::format_to(out, FMT_COMPILE("\t-\t-\t-\t-\t-\n"));
	}
};

} // namespace

std::unique_ptr<FlowFormat> make_t2_flow_format()
{
	return std::make_unique<T2FlowFormat>();
}

std::unique_ptr<PacketFormat> make_t2_packet_format()
{
	return std::make_unique<T2PacketFormat>();
}

} // namespace tcpwin
