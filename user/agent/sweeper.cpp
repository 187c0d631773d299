// SPDX-License-Identifier: Apache-2.0
#include "agent/sweeper.hpp"

#include "base/clocks.hpp"
#include "base/duration.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;

constexpr auto least_time_between_warnings = 1s; // a full table must not fill a disk

tcpwin_sweep sweep_now()
{
	tcpwin_sweep request{};
	request.now_ns = TCPWIN_CLOCK_NOW;
	request.linger_ns = TCPWIN_CONTINUES_NS;
	request.examine = 1;
	return request;
}

} // namespace

// Only if packets are lost: usually there are flows to evict.
void Sweeper::warn_full()
{
	const auto counters = program_.counters();
	const auto now = std::chrono::steady_clock::now();
	if (!counters || counters->value[TCPWIN_COUNTER_UNTRACKED_FULL] == untracked_ ||
	    now - last_full_warning_ < least_time_between_warnings)
		return;
	untracked_ = counters->value[TCPWIN_COUNTER_UNTRACKED_FULL];
	last_full_warning_ = now;
	log::warning("the flow table is full ({} entries): packets of new flows are not tracked; "
		     "increase --max-flows",
		     program_.max_flows());
}

void Sweeper::tell_pressure()
{
	const std::uint64_t since_ns = program_.pressure().since_ns;
	if ((since_ns != 0) == pressure_.has_value())
		return;
	const auto counters = program_.counters();
	if (!counters)
		return;
	const Pressure now{.since_ns = boot_clock_ns(),
			   .evicted = counters->value[TCPWIN_COUNTER_EVICTED_UNANSWERED],
			   .untracked = counters->value[TCPWIN_COUNTER_UNTRACKED_FULL],
			   .ended_early = ended_early_};
	if (since_ns) {
		pressure_ = now;
		log::warning("the flow table fills ({} flows, --max-flows {}): unanswered flows end after {} "
			     "(--timeout-unanswered), and make room if it is full",
			     program_.live_flows(), program_.max_flows(),
			     format_duration(std::chrono::nanoseconds(program_.config().unanswered_ns)));
		return;
	}
	log::warning("the flow table has room again after {} s; {} unanswered flows ended early, {} were evicted, "
		     "{} packets were not tracked",
		     (now.since_ns - pressure_->since_ns) / 1'000'000'000, now.ended_early - pressure_->ended_early,
		     now.evicted - pressure_->evicted, now.untracked - pressure_->untracked);
	pressure_.reset();
}

// Flows whose records do not fit into the ring buffer are swept again after a drain. Flows that must end are swept even
// after a failed write, so that the report counts each of them.
Result<void> Sweeper::sweep(tcpwin_sweep request)
{
	const bool insist = request.shutdown || request.ifindex;
	Result<void> written; // the first error
	while (true) {
		const auto swept = TRY(program_.sweep(request));
		ended_early_ += swept.early;
		if (auto wrote = drain_.write_records(); !wrote && written)
			written = wrote;
		if (!written && !insist)
			return written;
		if (!swept.ring_full && (!request.shutdown || swept.remaining == 0))
			return written;
	}
}

// A million active flows cost nothing here; sweeping them would take a tenth of a second. So a table that stays full is
// swept only once per period: packets make room themselves.
Result<void> Sweeper::sweep_if_due()
{
	const std::uint64_t now_ns = boot_clock_ns();
	const bool full = program_.take_table_full() || program_.fills();
	const bool examine = full && now_ns - examined_ns_ >= TCPWIN_PRESSURE_PERIOD_NS;
	if (!examine && !program_.is_due(now_ns))
		return {};
	tcpwin_sweep request = sweep_now();
	if (program_.is_above_mark())
		request.linger_ns = 0;
	if (examine)
		examined_ns_ = now_ns;
	auto swept = sweep(request);
	warn_full();
	tell_pressure();
	return swept;
}

Result<void> Sweeper::end_flows_of(unsigned ifindex)
{
	tcpwin_sweep request = sweep_now();
	request.ifindex = ifindex;
	return sweep(request);
}

Result<void> Sweeper::sweep_finally(bool end_all)
{
	tcpwin_sweep request = sweep_now();
	request.shutdown = end_all;
	return sweep(request);
}

bool Sweeper::works()
{
	return program_.sweep(sweep_now()) && program_.counters();
}

} // namespace tcpwin
