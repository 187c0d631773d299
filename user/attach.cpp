// SPDX-License-Identifier: Apache-2.0
// The live agent: attach, sweep at every interval, write records, report.
//
// One thread. It waits for the ring buffer, for signals, for the output's
// reader to go away, and for the next sweep.
#include "attach.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include <linux/membarrier.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>

#include "bpf/program.hpp"
#include "record.hpp"
#include "record_writers.hpp"
#include "report.hpp"
#include "stop_signal.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr nanoseconds linger = 2s;             // an ended entry stays so long, a flow that comes back reuses it
constexpr nanoseconds link_check = 250ms;      // how soon a deleted interface is noticed
constexpr nanoseconds full_warning = 1s;       // at most so often

std::string_view name_of(XdpMode mode)
{
	return mode == XdpMode::native ? "native" : "generic";
}

// After this no packet is inside a program that was attached before: synchronize_rcu().
void wait_for_packets_in_flight()
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		std::this_thread::sleep_for(100ms); // nohz_full kernels have no such barrier
}

struct InterfaceName {
	unsigned ifindex;
	std::string name;
};

class Session {
public:
	Session(const AttachOptions &options, StopSignal stop, RecordWriters writers, Program program)
		: options_(options), stop_(std::move(stop)), writers_(std::move(writers)), program_(std::move(program))
	{
	}

	Result<void> attach_all();
	Result<void> watch();
	// Detaches and writes what is left, after an error too.
	Result<void> finish();
	std::string report();

private:
	Result<void> wait(Clock::time_point until);
	Result<void> sweep(bool shutdown);
	Result<void> write_records();
	Result<void> check_links();
	void warn_full();
	std::string_view interface_name(unsigned ifindex) const;

	const AttachOptions &options_;
	StopSignal stop_;
	RecordWriters writers_;
	Program program_;
	std::vector<XdpLink> links_;
	std::vector<InterfaceName> names_; // outlives the interfaces
	std::uint64_t packets_reported_ = 0;
	Clock::time_point last_full_warning_{};
};

Result<void> Session::attach_all()
{
	for (const std::string &interface : options_.interfaces) {
		auto link = XdpLink::attach(interface, options_.mode, program_.xdp_fd());
		if (!link)
			return tl::unexpected(link.error());
		spdlog::info("attached to {} in {} mode{}", interface, name_of(link->mode()),
			     link->fallback().empty() ? "" : " (no native XDP: " + link->fallback() + ")");
		names_.push_back({link->ifindex(), interface});
		links_.push_back(std::move(*link));
	}
	return writers_.flush(stop_);
}

std::string_view Session::interface_name(unsigned ifindex) const
{
	auto found = std::find_if(names_.begin(), names_.end(),
				  [=](const InterfaceName &name) { return name.ifindex == ifindex; });
	return found == names_.end() ? std::string_view("?") : found->name;
}

Result<void> Session::write_records()
{
	const nanoseconds wall_offset = wall_clock_offset();
	Result<void> written;
	const auto flush_if_large = [&] {
		if (auto flushed = writers_.flush_if_large(stop_); !flushed)
			written = flushed;
	};
	program_.drain([&](const tcpwin_record &record) {
		writers_.flow(make_flow_record(record, options_.config, wall_offset,
					       interface_name(record.flow.ifindex)));
		flush_if_large();
	});
	program_.drain_packets([&](const tcpwin_packet_event &event) {
		writers_.packet(make_packet_record(event, ++packets_reported_, options_.config, wall_offset));
		flush_if_large();
	});
	if (auto flushed = writers_.flush(stop_); !flushed)
		return flushed;
	return written;
}

// At most once a second: a full table is no reason to fill a disk.
void Session::warn_full()
{
	const Clock::time_point now = Clock::now();
	if (now - last_full_warning_ < full_warning)
		return;
	last_full_warning_ = now;
	spdlog::warn("the flow table is full ({} entries): packets of further flows are not tracked; "
		     "a larger --max-flows helps",
		     program_.max_flows());
}

// What the ring buffer cannot take in one go is swept again after it was drained. A
// shutdown goes on after a failed write, so that the report counts every flow.
Result<void> Session::sweep(bool shutdown)
{
	if (!shutdown && program_.is_idle())
		return {};
	const bool full = program_.take_table_full();
	if (full)
		warn_full();
	Result<void> written; // the first error
	while (true) {
		auto swept = program_.sweep(shutdown, full ? 0 : static_cast<std::uint64_t>(linger.count()));
		if (!swept)
			return tl::unexpected(swept.error());
		if (auto wrote = write_records(); !wrote && written)
			written = wrote;
		if (!written && !shutdown)
			return written;
		if (!swept->ring_full && (!shutdown || swept->remaining == 0))
			return written;
	}
}

Result<void> Session::check_links()
{
	for (auto link = links_.begin(); link != links_.end();) {
		if (link->alive()) {
			++link;
			continue;
		}
		const std::string name = link->interface();
		link = links_.erase(link);
		if (links_.empty())
			return fail("cannot go on watching " + name, "the interface was deleted while being watched");
		spdlog::warn("interface {} was deleted; the others are still watched", name);
	}
	return {};
}

Result<void> Session::wait(Clock::time_point until)
{
	const auto left = std::max<nanoseconds>(until - Clock::now(), 0ns);
	const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
	const timespec timeout{seconds.count(), (left - seconds).count()};
	pollfd fds[] = {{stop_.fd(), POLLIN, 0},
			{program_.ring_fd(), POLLIN, 0},
			{writers_.watched_fd(), 0, 0}};

	if (ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
		return fail("cannot wait for packets", describe_errno(errno));
	if (fds[0].revents)
		stop_.collect();
	if (fds[2].revents & POLLERR)
		return fail("cannot write records to " + writers_.flow_output().name(), "its reader has gone");
	return fds[1].revents ? write_records() : Result<void>{};
}

Result<void> Session::watch()
{
	const Clock::time_point start = Clock::now();
	const Clock::time_point end = options_.duration ? start + *options_.duration : Clock::time_point::max();
	Clock::time_point next_sweep = start + options_.poll_interval, next_check = start + link_check;

	while (!stop_.requested() && Clock::now() < end) {
		if (auto waited = wait(std::min({next_sweep, next_check, end})); !waited)
			return waited;
		const Clock::time_point now = Clock::now();
		if (now >= next_check) {
			if (auto checked = check_links(); !checked)
				return checked;
			next_check = now + link_check;
		}
		if (now >= next_sweep || program_.table_full()) {
			if (auto swept = sweep(false); !swept)
				return swept;
			next_sweep = std::max(next_sweep, now) + options_.poll_interval;
		}
	}
	return {};
}

Result<void> Session::finish()
{
	links_.clear();
	wait_for_packets_in_flight();
	return sweep(true);
}

std::string Session::report()
{
	auto counters = program_.counters();
	if (!counters) {
		spdlog::error("{}", counters.error().sentence());
		return {};
	}
	return format_report(writers_.totals(), *counters, options_.config, program_.max_flows());
}

} // namespace

Result<void> attach(const AttachOptions &options)
{
	// The output comes last: a mistake elsewhere must not have emptied a file.
	for (const std::string &interface : options.interfaces)
		if (auto exists = XdpLink::find_interface(interface); !exists)
			return tl::unexpected(exists.error());
	auto stop = StopSignal::create();
	if (!stop)
		return tl::unexpected(stop.error());
	auto program = Program::load({.max_flows = options.max_flows,
				      .config = options.config,
				      .report_packets = !options.packets.empty()});
	if (!program)
		return tl::unexpected(program.error());
	auto writers = RecordWriters::open(options);
	if (!writers)
		return tl::unexpected(writers.error());

	Session session(options, std::move(*stop), std::move(*writers), std::move(*program));
	if (auto attached = session.attach_all(); !attached)
		return attached;
	auto result = session.watch();
	auto finished = session.finish();
	if (options.verbosity != Verbosity::quiet)
		std::fputs(session.report().c_str(), stderr); // may fail: stderr is nobody's data
	return result ? finished : result;
}

} // namespace tcpwin
