// SPDX-License-Identifier: Apache-2.0
#include "agent/session.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fmt/format.h>
#include <poll.h>

#include "agent/landlock.hpp"
#include "agent/privileges.hpp"
#include "base/clocks.hpp"
#include "base/log.hpp"
#include "bpf/packets_in_flight.hpp"
#include "record/record.hpp"

namespace tcpwin {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

// Filters have notifications, links have none.
constexpr auto hook_check_interval = 1s;

} // namespace

Session::Session(const SessionOptions &options, Parts parts)
	: options_(options), signals_(std::move(parts.signals)), monitor_(std::move(parts.monitor)),
	  writers_(std::move(parts.writers)), program_(std::move(parts.program)),
	  persistence_(std::move(parts.persistence)), helper_(std::move(parts.helper)),
	  attribution_(std::move(parts.attribution)),
	  interfaces_(options.watch, program_, persistence_ ? &*persistence_ : nullptr, std::move(parts.claims)),
	  drain_(program_, writers_, interfaces_, signals_, attribution_.get(), persistence_.has_value()),
	  sweeper_(program_, drain_), stats_(program_, writers_, interfaces_, persistence_.has_value())
{
}

Result<void> Session::attach_all()
{
	const auto all = TRY(monitor_.changed());
	TRY(stats_.begin());
	TRY(interfaces_.attach_all(all));
	return persistence_ ? write_out_earlier() : writers_.flush(signals_);
}

// Writes the flows in maps of another layout, and those of interfaces that were deleted while no agent was running.
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
	TRY(std::move(drained));
	TRY(std::move(written));
	persistence_->remove_others();
	if (persistence_->has_others()) // their counters were carried over
		TRY(stats_.begin());
	return forget_gone();
}

Result<void> Session::forget_gone()
{
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
	if (!interfaces_.needs().pin_below.empty() && (!has_landlock() || !persistence_->make_root())) {
		log::warning(
			"without Landlock nothing would limit what the agent could remove: interfaces that appear later "
			"are watched, but what is attached to them ends with this agent");
		interfaces_.stop_pinning();
	}
	const auto still_works = [this] { return sweeper_.works(); };
	Needs needs = interfaces_.needs();
	needs.attribute = attribution_ != nullptr;
	if (auto dropped = tcpwin::drop_privileges(needs, still_works); !dropped)
		log::warning("{}", dropped.error().sentence());
}

// The program forgets the interface only after its records are written and its pins removed: until then the next agent and
// status need its name.
Result<void> Session::forget(unsigned ifindex)
{
	const bool removed = interfaces_.forget(ifindex);
	wait_for_packets_in_flight();
	TRY(sweeper_.end_flows_of(ifindex));
	if (removed)
		program_.remove_interface(ifindex);
	return {};
}

Result<void> Session::forget_deleted(const std::vector<Interface> &all)
{
	const bool any = options_.watch.any();
	for (unsigned ifindex : interfaces_.deleted(all)) {
		const std::string name(interfaces_.name(ifindex));
		TRY(forget(ifindex));
		if (interfaces_.empty() && !any)
			return fail("cannot continue watching " + name,
				    "it was deleted or moved to another network namespace");
		if (any)
			log::info("interface {} was deleted", name);
		else
			log::warning("interface {} was deleted; the others are still watched", name);
	}
	return {};
}

Result<void> Session::follow_interfaces()
{
	const auto all = TRY(monitor_.changed());
	TRY(forget_deleted(all));
	TRY(interfaces_.follow(all));
	return interfaces_.check(reattaches());
}

// A deleted interface has lost its programs, too.
Result<void> Session::check_hooks()
{
	return interfaces_.any_lost() ? follow_interfaces() : interfaces_.check(reattaches());
}

bool Session::reattaches() const
{
	return !(program_.config().rules & TCPWIN_RULE_STAY_DETACHED); // 'set' may have changed it
}

Result<void> Session::wait(Clock::time_point until)
{
	const auto left = std::max<nanoseconds>(until - Clock::now(), 0ns);
	const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
	const timespec timeout{seconds.count(), (left - seconds).count()};
	const auto [record_ring, packet_ring] = program_.ring_fds();
	pollfd fds[] = {{signals_.stop_fd(), POLLIN, 0}, {signals_.request_fd(), POLLIN, 0}, {monitor_.fd(), POLLIN, 0},
			{writers_.watched_fd(), 0, 0},   {record_ring, POLLIN, 0},           {packet_ring, POLLIN, 0}};
	const auto &[stop, request, monitor, reader, records, packets] = fds;

	if (ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
		return fail("cannot wait for packets", describe_errno(errno));
	if (stop.revents || request.revents)
		signals_.collect();
	if (reader.revents & POLLERR)
		return fail("cannot write records to " + writers_.flow_output().name(), "its reader closed it");
	if (monitor.revents)
		TRY(follow_interfaces());
	return records.revents || packets.revents ? drain_.write_records() : Result<void>{};
}

Result<void> Session::watch()
{
	const Clock::time_point start = Clock::now(), never = Clock::time_point::max();
	const Clock::time_point end = options_.duration ? start + *options_.duration : never;
	Clock::time_point next_sweep = start + options_.poll_interval;
	Clock::time_point next_check = start + hook_check_interval;
	Clock::time_point next_stats = options_.stats_interval ? start + *options_.stats_interval : never;

	while (!signals_.requested() && Clock::now() < end) {
		TRY(answer_signals());
		TRY(wait(std::min({next_sweep, next_check, next_stats, end})));
		const Clock::time_point now = Clock::now();
		if (now >= next_check) {
			TRY(check_hooks());
			next_check = now + hook_check_interval;
		}
		if (now >= next_stats) {
			TRY(write_stats(false));
			next_stats = std::max(next_stats + *options_.stats_interval, now);
		}
		if (now >= next_sweep || program_.table_full()) {
			TRY(sweeper_.sweep_if_due());
			TRY(drain_.pass_time());
			next_sweep = now + options_.poll_interval;
		}
	}
	return {};
}

// A persistent agent leaves active flows in the table, and records that it could not write in the ring buffer.
Result<void> Session::finish()
{
	const bool leave = persistence_ && !interfaces_.pins_are_gone();
	if (persistence_ && !leave)
		log::warning("the pins have been removed: writing the remaining flows");
	interfaces_.release(leave);
	if (leave && drain_.has_failed())
		return {};
	wait_for_packets_in_flight();
	auto swept = sweeper_.sweep_finally(!leave);
	drain_.finish();
	if (auto flushed = drain_.flush(); !flushed && swept)
		swept = flushed;
	auto stats = write_stats(true);
	return swept ? stats : swept;
}

Result<void> Session::write_stats(bool last)
{
	if (!options_.stats_interval)
		return {};
	TRY(stats_.write(last));
	return drain_.flush();
}

Result<void> Session::write_summary(const std::string &profile)
{
	if (!writers_.wants_summary())
		return {};
	auto summary = TRY(stats_.summary());
	summary.inputs = options_.watch.interfaces;
	summary.profile = profile;
	return writers_.write_summary(summary, signals_);
}

// The old files are complete before the new ones are opened.
Result<void> Session::reopen()
{
	TRY(drain_.write_records());
	const auto open = [this](const std::string &path) { return helper_.open(path); };
	if (auto reopened = writers_.reopen(open); !reopened)
		log::warning("{}; the old file stays in use", reopened.error().sentence());
	return drain_.flush();
}

// An invalid file changes nothing. Otherwise file and command line override earlier changes by `set`.
void Session::reread_settings()
{
	const std::string &file = options_.settings.file;
	if (file.empty())
		return;
	const auto values = helper_.open(file).and_then([&](UniqueFd fd) { return read_config_file(fd.get(), file); });
	if (!values)
		log::warning("{}; the settings stay unchanged", values.error().sentence());
	else
		program_.set_config(apply_settings(merge_settings(*values, options_.settings.command_line)));
}

// Handles requests for a report and for reopening files.
Result<void> Session::answer_signals()
{
	if (signals_.take_report()) {
		const WallTime now(nanoseconds(boot_clock_ns()) + wall_clock_offset());
		const std::string text = fmt::format("Report at {}\n{}", format_time(now), stats_.report(true));
		std::fputs(text.c_str(), stderr); // may fail: stderr carries no data
	}
	if (!signals_.take_reopen())
		return {};
	reread_settings();
	return reopen();
}

} // namespace tcpwin
