// SPDX-License-Identifier: Apache-2.0
#include "agent/session.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <poll.h>

#include "base/clocks.hpp"
#include "bpf/packets_in_flight.hpp"
#include "config/file.hpp"
#include "agent/privileges.hpp"
#include "record/record.hpp"
#include "record/report.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr nanoseconds full_warning = 1s; // at most so often

tcpwin_sweep sweep_now()
{
	tcpwin_sweep request{};
	request.now_ns = TCPWIN_CLOCK_NOW;
	request.linger_ns = TCPWIN_CONTINUES_NS;
	return request;
}

} // namespace

Session::Session(const AttachOptions &options, Signals signals, InterfaceMonitor monitor, Claims claims,
		 RecordWriters writers, Program program, std::optional<Persistence> persistence, FileOpener opener)
	: options_(options), signals_(std::move(signals)), monitor_(std::move(monitor)), writers_(std::move(writers)),
	  program_(std::move(program)), persistence_(std::move(persistence)), opener_(std::move(opener)),
	  interfaces_(options, program_, persistence_ ? &*persistence_ : nullptr, std::move(claims))
{
}

Result<void> Session::attach_all()
{
	auto all = TRY(monitor_.changed());
	TRY(begin_stats());
	TRY(interfaces_.attach_all(all));
	return persistence_ ? write_out_earlier() : writers_.flush(signals_);
}

// Of maps in another layout, and of interfaces that were deleted while no agent was there.
Result<void> Session::write_out_earlier()
{
	settle(program_.last_batch(), program_.records(), writers_.flow_output());
	wait_for_packets_in_flight();
	const nanoseconds wall_offset = wall_clock_offset();
	const tcpwin_config config = program_.config();
	Result<void> written;
	auto drained =
		persistence_->drain_others(program_, config, writers_.flow_output(), [&](const tcpwin_record &record) {
			writers_.flow(
				make_flow_record(record, config, wall_offset, interfaces_.name(record.flow.ifindex)));
			if (auto flushed = writers_.flush_if_large(signals_); !flushed)
				written = flushed;
		});
	if (auto flushed = writers_.flush(signals_); !flushed)
		written = flushed;
	if (!drained || !written)
		return drained ? written : drained;
	persistence_->remove_others();
	if (persistence_->has_others()) // their counters were carried over
		TRY(begin_stats());
	for (const PinnedInterface &gone : persistence_->gone()) {
		if (const auto known = program_.interface(gone.ifindex()))
			interfaces_.remember_name(gone.ifindex(), known->name);
		TRY(forget(gone.ifindex()));
		static_cast<void>(gone.remove());
	}
	return {};
}

void Session::drop_privileges()
{
	interfaces_.note_process();
	const auto still_works = [this] { return program_.sweep(sweep_now()) && program_.counters(); };
	if (auto dropped = tcpwin::drop_privileges(interfaces_.needs(), still_works); !dropped)
		log::warning("{}", dropped.error().sentence());
}

// In one piece: whether it is in the file is then told by its size.
void Session::announce()
{
	const auto place = writers_.flow_output().place();
	if (persistence_ && place)
		program_.announce({.position = program_.records().position(),
				   .device = place->device,
				   .inode = place->inode,
				   .offset = place->offset,
				   .length = writers_.waiting_flow_bytes()});
}

// What a persistent agent could not write stays in the ring buffer, for the next one.
Result<void> Session::flush()
{
	announce();
	auto written = writers_.flush(signals_);
	failed_ = failed_ || !written;
	if (!failed_ || !persistence_)
		program_.commit();
	return written;
}

Result<void> Session::write_records()
{
	const nanoseconds wall_offset = wall_clock_offset();
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
			writers_.flow(
				make_flow_record(record, config, wall_offset, interfaces_.name(record.flow.ifindex)));
			flush_if_large();
		},
		[&](const tcpwin_alarm &alarm) {
			for (const AlarmRecord &record :
			     make_alarm_records(alarm, config, wall_offset, interfaces_.name(alarm.ifindex)))
				writers_.alarm(record);
		});
	program_.drain_packets([&](const tcpwin_packet_event &event) {
		writers_.packet(make_packet_record(event, ++packets_reported_, config, wall_offset));
		flush_if_large();
	});
	TRY(flush());
	return written;
}

// At most once a second: a full table is no reason to fill a disk.
void Session::warn_full()
{
	const Clock::time_point now = Clock::now();
	if (now - last_full_warning_ < full_warning)
		return;
	last_full_warning_ = now;
	log::warning("the flow table is full ({} entries): packets of further flows are not tracked; "
		     "a larger --max-flows helps",
		     program_.max_flows());
}

// What the ring buffer cannot take in one go is swept again after it was drained. What
// has to end goes on after a failed write, so that the report counts every flow.
Result<void> Session::sweep(tcpwin_sweep request)
{
	const bool insist = request.shutdown || request.ifindex;
	Result<void> written; // the first error
	while (true) {
		auto swept = TRY(program_.sweep(request));
		if (auto wrote = write_records(); !wrote && written)
			written = wrote;
		if (!written && !insist)
			return written;
		if (!swept.ring_full && (!request.shutdown || swept.remaining == 0))
			return written;
	}
}

// A million flows that go on cost nothing here, where a sweep would take a tenth of a second.
Result<void> Session::sweep_if_due()
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

// A flow that other interfaces saw as well begins anew. Until its records are written and its pins removed, the interface
// is known: the next agent and status want its name.
Result<void> Session::forget(unsigned ifindex)
{
	const bool removed = interfaces_.forget(ifindex);
	wait_for_packets_in_flight();
	tcpwin_sweep request = sweep_now();
	request.ifindex = ifindex;
	return sweep(request).map([&] {
		if (removed)
			program_.remove_interface(ifindex);
	});
}

Result<void> Session::forget_deleted(const std::vector<Interface> &all)
{
	for (unsigned ifindex : interfaces_.deleted(all)) {
		const std::string name(interfaces_.name(ifindex));
		TRY(forget(ifindex));
		if (interfaces_.empty() && !options_.any())
			return fail("cannot go on watching " + name, "the interface was deleted while being watched");
		if (options_.any())
			log::info("interface {} was deleted", name);
		else
			log::warning("interface {} was deleted; the others are still watched", name);
	}
	return {};
}

Result<void> Session::follow_interfaces()
{
	auto all = TRY(monitor_.changed());
	TRY(forget_deleted(all));
	return interfaces_.follow(all);
}

Result<void> Session::wait(Clock::time_point until)
{
	const auto left = std::max<nanoseconds>(until - Clock::now(), 0ns);
	const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
	const timespec timeout{seconds.count(), (left - seconds).count()};
	const auto [records, packets] = program_.ring_fds();
	pollfd fds[] = {{signals_.stop_fd(), POLLIN, 0},
			{monitor_.fd(), POLLIN, 0},
			{writers_.watched_fd(), 0, 0},
			{records, POLLIN, 0},
			{packets, POLLIN, 0},
			{signals_.request_fd(), POLLIN, 0}};

	if (ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
		return fail("cannot wait for packets", describe_errno(errno));
	if (fds[0].revents || fds[5].revents)
		signals_.collect();
	if (fds[2].revents & POLLERR)
		return fail("cannot write records to " + writers_.flow_output().name(), "its reader has gone");
	if (fds[1].revents)
		TRY(follow_interfaces());
	return fds[3].revents || fds[4].revents ? write_records() : Result<void>{};
}

Result<void> Session::watch()
{
	const Clock::time_point start = Clock::now();
	const Clock::time_point end = options_.duration ? start + *options_.duration : Clock::time_point::max();
	Clock::time_point next_sweep = start + options_.poll_interval;
	Clock::time_point next_stats =
		options_.stats_interval ? start + *options_.stats_interval : Clock::time_point::max();

	while (!signals_.requested() && Clock::now() < end) {
		TRY(answer_signals());
		TRY(wait(std::min({next_sweep, next_stats, end})));
		const Clock::time_point now = Clock::now();
		if (now >= next_stats) {
			TRY(write_stats(false));
			next_stats = std::max(next_stats + *options_.stats_interval, now);
		}
		if (now >= next_sweep || program_.table_full()) {
			TRY(sweep_if_due());
			next_sweep = std::max(next_sweep, now) + options_.poll_interval;
		}
	}
	return {};
}

// Persistent: flows that are alive go on, and what could not be written waits for the next agent.
Result<void> Session::finish()
{
	const bool leaves = persistence_ && !interfaces_.pins_are_gone();
	if (persistence_ && !leaves)
		log::warning("what was pinned has been removed: the flows that are left are written now");
	interfaces_.release(leaves);
	if (leaves && failed_)
		return {};
	wait_for_packets_in_flight();
	tcpwin_sweep request = sweep_now();
	request.shutdown = !leaves;
	auto swept = sweep(request);
	auto stats = write_stats(true);
	return swept ? stats : swept;
}

// Of the files of before, the last byte is written before those of now are opened.
Result<void> Session::reopen()
{
	TRY(write_records());
	if (auto reopened = writers_.reopen(opener_); !reopened)
		log::warning("{}; what was open goes on", reopened.error().sentence());
	return flush();
}

// A file that is wrong changes nothing. What another process has set is set again.
void Session::reread_settings()
{
	if (options_.config_file.empty())
		return;
	const auto values = opener_.open(options_.config_file).and_then([&](UniqueFd fd) {
		return read_config_file(fd.get(), options_.config_file);
	});
	if (!values)
		log::warning("{}; all settings stay", values.error().sentence());
	else
		program_.set_config(apply_settings(merge_settings(*values, options_.settings)));
}

// What they ask for, but to end.
Result<void> Session::answer_signals()
{
	if (signals_.take_report()) {
		const std::string text = fmt::format(
			"Report at {}\n{}", format_time(WallTime(nanoseconds(boot_clock_ns()) + wall_clock_offset())),
			report(true));
		std::fputs(text.c_str(), stderr); // may fail: stderr is nobody's data
	}
	if (!signals_.take_reopen())
		return {};
	reread_settings();
	return reopen();
}

Result<StatsTotals> Session::totals() const
{
	return program_.counters().map([&](const tcpwin_counters &counters) {
		return StatsTotals{.counters = counters, .records = writers_.totals()};
	});
}

// What earlier agents counted is no part of the first interval; without them, all is.
Result<void> Session::begin_stats()
{
	started_ns_ = last_stats_ns_ = boot_clock_ns();
	if (!persistence_)
		return {};
	return totals().map([&](const StatsTotals &now) { last_stats_ = now; });
}

Result<void> Session::write_stats(bool last)
{
	if (!options_.stats_interval)
		return {};
	auto now = TRY(totals());
	const std::uint64_t now_ns = boot_clock_ns();
	writers_.stats({.time = WallTime(nanoseconds(now_ns) + wall_clock_offset()),
			.uptime = nanoseconds(now_ns - started_ns_),
			.interval = nanoseconds(now_ns - last_stats_ns_),
			.last = last,
			.flows = program_.live_flows(),
			.max_flows = program_.max_flows(),
			.totals = now,
			.before = last_stats_});
	last_stats_ns_ = now_ns;
	last_stats_ = now;
	return flush();
}

std::string Session::report(bool goes_on)
{
	auto counters = program_.counters();
	if (!counters) {
		log::error("{}", counters.error().sentence());
		return {};
	}
	std::string text = format_report(writers_.totals(), *counters, program_.config(), program_.max_flows());
	if (persistence_ || goes_on)
		text += fmt::format("Flows still in the table: {}\n", program_.live_flows());
	return text;
}

} // namespace tcpwin
