// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include <fmt/compile.h>

#include "sinks/format.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view header = "%dir\tflowInd\ttimeFirst\ttimeLast\tduration\tvlan\tsrcIP\tsrcPort\t"
				    "dstIP\tdstPort\tl4Proto\ttcpWinStat\ttcpWinState\ttcpWinThCnt\n";

struct Seconds {
	std::int64_t whole;
	std::int64_t nanoseconds;
};

Seconds split(nanoseconds time)
{
	return {time.count() / 1'000'000'000, time.count() % 1'000'000'000};
}

void put_direction(char dir, const FlowRecord &record, const Side &from, const Side &to, fmt::memory_buffer &out)
{
	const Seconds first = split(from.first.time_since_epoch()), last = split(from.last.time_since_epoch()),
		      duration = split(from.last - from.first);
	const std::string vlan = record.vlan ? fmt::format_int(record.vlan).str() : "-";

	fmt::format_to(fmt::appender(out),
		       FMT_COMPILE("{}\t{}\t{}.{:09}\t{}.{:09}\t{}.{:09}\t{}\t{}\t{}\t{}\t{}\t{}\t"
				   "0x{:02x}\t0x{:02x}\t{}\n"),
		       dir, record.id, first.whole, first.nanoseconds, last.whole, last.nanoseconds,
		       duration.whole, duration.nanoseconds, vlan, from.ip, from.port, to.ip, to.port,
		       static_cast<int>(IPPROTO_TCP), from.direction.stat, from.direction.state,
		       from.direction.zero_window_count);
}

class T2Format final : public FlowFormat {
public:
	void begin(fmt::memory_buffer &out) const override { out.append(header); }

	void flow(const FlowRecord &record, fmt::memory_buffer &out) const override
	{
		put_direction('A', record, record.a, record.b, out);
		if (record.b.seen())
			put_direction('B', record, record.b, record.a, out);
	}
};

} // namespace

std::unique_ptr<FlowFormat> make_t2_format()
{
	return std::make_unique<T2Format>();
}

} // namespace tcpwin
