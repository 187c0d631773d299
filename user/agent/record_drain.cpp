// SPDX-License-Identifier: Apache-2.0
#include "agent/record_drain.hpp"

#include "record/record.hpp"

namespace tcpwin {

// The batch is written contiguously, so the size of the file shows how much of it was written.
void RecordDrain::announce()
{
	const auto place = writers_.flow_output().place();
	if (persistent_ && place)
		program_.announce({.position = program_.records().position(),
				   .device = place->device,
				   .inode = place->inode,
				   .offset = place->offset,
				   .length = writers_.waiting_flow_bytes()});
}

Result<void> RecordDrain::flush()
{
	announce();
	auto written = writers_.flush(signals_);
	failed_ = failed_ || !written;
	if (!failed_ || !persistent_)
		program_.commit();
	return written;
}

Result<void> RecordDrain::pass_time()
{
	const std::uint64_t now_ns = boot_clock_ns();
	if (unanswered_.covers(now_ns))
		return {};
	if (const auto counters = program_.counters())
		unanswered_.set_unrecorded(*counters);
	unanswered_.pass_to(now_ns, program_.config(), wall_clock_offset());
	return flush();
}

void RecordDrain::finish()
{
	if (const auto counters = program_.counters())
		unanswered_.set_unrecorded(*counters);
	unanswered_.finish(program_.config(), wall_clock_offset());
}

// The kernel is asked only where it matters: most sockets are closed when their flows end.
Locals RecordDrain::locals_of(const tcpwin_record &record)
{
	if (!attribution_)
		return {};
	const tcpwin_flow &flow = record.flow;
	const bool ask = is_held_up(flow);
	Locals locals;
	for (unsigned i : {0, 1})
		locals[i] =
			ask ? attribution_->ask(record.key, i, flow.socket[i]) : attribution_->recall(flow.socket[i]);
	return locals;
}

Locals RecordDrain::locals_of(const tcpwin_alarm &alarm)
{
	if (!attribution_)
		return {};
	return {attribution_->ask(alarm.key, 0, alarm.socket[0]), attribution_->ask(alarm.key, 1, alarm.socket[1])};
}

Result<void> RecordDrain::write_records()
{
	const std::chrono::nanoseconds wall_offset = wall_clock_offset();
	const tcpwin_config config = program_.config(); // another process may have changed it
	Result<void> written;
	const auto flush_if_large = [&] {
		if (!writers_.is_large())
			return;
		if (auto flushed = flush(); !flushed)
			written = flushed;
	};
	program_.drain(
		[&](const tcpwin_record &record) {
			unanswered_.pass_to(record.now_ns, config, wall_offset);
			if (unanswered_.add(record, config))
				return;
			writers_.flow(make_flow_record(record, config, wall_offset,
						       interfaces_.name(record.flow.ifindex), locals_of(record)));
			flush_if_large();
		},
		[&](const tcpwin_alarm &alarm) {
			for (const AlarmRecord &record : make_alarm_records(
				     alarm, config, wall_offset, interfaces_.name(alarm.ifindex), locals_of(alarm)))
				writers_.alarm(record);
		});
	program_.drain_packets([&](const tcpwin_packet_event &event) {
		writers_.packet(make_packet_record(event, ++packets_reported_, config, wall_offset));
		flush_if_large();
	});
	TRY(flush());
	return written;
}

} // namespace tcpwin
