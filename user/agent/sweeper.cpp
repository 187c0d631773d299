// SPDX-License-Identifier: Apache-2.0
#include "agent/sweeper.hpp"

#include "base/clocks.hpp"
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
	return request;
}

} // namespace

void Sweeper::warn_full()
{
	const auto now = std::chrono::steady_clock::now();
	if (now - last_full_warning_ < least_time_between_warnings)
		return;
	last_full_warning_ = now;
	log::warning("the flow table is full ({} entries): packets of new flows are not tracked; "
		     "increase --max-flows",
		     program_.max_flows());
}

// Flows whose records do not fit into the ring buffer are swept again after a drain. Flows that must end are swept even
// after a failed write, so that the report counts each of them.
Result<void> Sweeper::sweep(tcpwin_sweep request)
{
	const bool insist = request.shutdown || request.ifindex;
	Result<void> written; // the first error
	while (true) {
		const auto swept = TRY(program_.sweep(request));
		if (auto wrote = drain_.write_records(); !wrote && written)
			written = wrote;
		if (!written && !insist)
			return written;
		if (!swept.ring_full && (!request.shutdown || swept.remaining == 0))
			return written;
	}
}

// A million active flows cost nothing here; sweeping them would take a tenth of a second.
Result<void> Sweeper::sweep_if_due()
{
	if (!program_.is_due(boot_clock_ns()) && !program_.table_full())
		return {};
	tcpwin_sweep request = sweep_now();
	if (program_.take_table_full()) {
		warn_full();
		request.linger_ns = 0;
	}
	return sweep(request);
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
