// SPDX-License-Identifier: Apache-2.0
#include "agent/stats_reporter.hpp"

#include <fmt/format.h>

#include "base/clocks.hpp"
#include "base/log.hpp"
#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {

using std::chrono::nanoseconds;

Result<StatsTotals> StatsReporter::totals() const
{
	return StatsTotals{.counters = TRY(program_.counters()), .records = writers_.totals()};
}

Result<void> StatsReporter::begin()
{
	started_ns_ = last_stats_ns_ = boot_clock_ns();
	if (persistent_)
		last_stats_ = TRY(totals());
	return {};
}

Result<void> StatsReporter::write(bool last)
{
	const StatsTotals now = TRY(totals());
	const std::uint64_t now_ns = boot_clock_ns();
	writers_.stats({.time = WallTime(nanoseconds(now_ns) + wall_clock_offset()),
			.uptime = nanoseconds(now_ns - started_ns_),
			.interval = nanoseconds(now_ns - last_stats_ns_),
			.last = last,
			.flows = program_.live_flows(),
			.max_flows = program_.max_flows(),
			.pressure = program_.pressure().since_ns != 0,
			.coverage = interfaces_.coverage(),
			.totals = now,
			.before = last_stats_});
	last_stats_ns_ = now_ns;
	last_stats_ = now;
	return {};
}

std::string StatsReporter::report(bool still_running) const
{
	const auto counters = program_.counters();
	if (!counters) {
		log::error("{}", counters.error().sentence());
		return {};
	}
	std::string text = format_report(writers_.totals(), *counters, program_.config(), program_.max_flows());
	if (const Coverage coverage = interfaces_.coverage(); coverage.unseen.count())
		text += fmt::format("Programs attached again: {}; at most {:.1f} s of packets were not seen\n",
				    coverage.reattachments, std::chrono::duration<double>(coverage.unseen).count());
	if (persistent_ || still_running)
		text += fmt::format("Flows still in the table: {}\n", program_.live_flows());
	return text;
}

Result<Summary> StatsReporter::summary() const
{
	const nanoseconds offset = wall_clock_offset();
	const WallTime now(nanoseconds(boot_clock_ns()) + offset);
	return Summary{.time = now,
		       .live = true,
		       .kernel = true,
		       .profile = {},
		       .inputs = {},
		       .start = WallTime(nanoseconds(started_ns_) + offset),
		       .end = now,
		       .clock = {},
		       .win_threshold = program_.config().window_threshold,
		       .flows = program_.live_flows(),
		       .max_flows = program_.max_flows(),
		       .coverage = interfaces_.coverage(),
		       .totals = TRY(totals())};
}

} // namespace tcpwin
