// SPDX-License-Identifier: Apache-2.0
// The live agent: attach, sweep at every interval, write records, report.
//
// One thread. It waits for the ring buffer, for signals, for interfaces that come
// and go, for the output's reader to go away, and for the next sweep.
#include "attach.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include <linux/membarrier.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <tcpwin/parse.h>

#include "bpf/hook.hpp"
#include "bpf/program.hpp"
#include "net/interface.hpp"
#include "presence.hpp"
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
constexpr nanoseconds full_warning = 1s;       // at most so often

// After this no packet is inside a program that was attached before: synchronize_rcu().
void wait_for_packets_in_flight()
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		std::this_thread::sleep_for(100ms); // nohz_full kernels have no such barrier
}

struct Watched {
	Presence presence;
	std::optional<Hook> ingress;
	std::optional<Hook> egress;
};

// "in native mode; outgoing packets by TCX"
std::string describe(const Watched &watched, std::string_view no_egress)
{
	std::string text;
	if (const auto &hook = watched.ingress) {
		text = hook->attachment() == Attachment::xdp_native  ? "in native mode" :
		       hook->attachment() == Attachment::xdp_generic ? "in generic mode" :
								       fmt::format("in tc mode ({})",
										   name_of(hook->attachment()));
		if (!hook->fallback().empty())
			text += fmt::format(" ({})", hook->fallback());
	}
	if (watched.egress)
		text += fmt::format("{}outgoing packets by {}", text.empty() ? "for " : "; ",
				    name_of(watched.egress->attachment()));
	else if (!no_egress.empty())
		text += fmt::format("; {}", no_egress);
	return text;
}

class Session {
public:
	Session(const AttachOptions &options, StopSignal stop, InterfaceMonitor monitor, RecordWriters writers,
		Program program)
		: options_(options), stop_(std::move(stop)), monitor_(std::move(monitor)), writers_(std::move(writers)),
		  program_(std::move(program))
	{
	}

	Result<void> attach_all();
	Result<void> watch();
	// Detaches and writes what is left, after an error too.
	Result<void> finish();
	std::string report();

private:
	Result<void> wait(Clock::time_point until);
	Result<void> sweep(tcpwin_sweep request);
	Result<void> sweep_if_due();
	Result<void> write_records();
	Result<void> follow_interfaces();
	Result<void> forget(unsigned ifindex);
	Result<void> attach(const Interface &interface, const std::vector<Interface> &all);
	Result<void> attach_new(const std::vector<Interface> &all);
	bool is_wanted(const Interface &interface) const;
	std::string_view why_no_egress(const Interface &interface, const std::vector<Interface> &all) const;
	std::uint16_t next_scope();
	Result<void> forget_deleted(const std::vector<Interface> &all);
	void warn_full();
	std::string_view interface_name(unsigned ifindex) const;

	const AttachOptions &options_;
	StopSignal stop_;
	InterfaceMonitor monitor_;
	RecordWriters writers_;
	Program program_;
	std::map<unsigned, Watched> watched_;   // by interface index
	std::map<unsigned, std::string> names_; // outlives the interfaces
	std::set<unsigned> refused_;            // could not be attached; any
	std::uint16_t last_scope_ = 0;
	std::uint64_t packets_reported_ = 0;
	Clock::time_point last_full_warning_{};
};

bool Session::is_wanted(const Interface &interface) const
{
	if (options_.any())
		return interface.up && !interface.stacked;
	return std::find(options_.interfaces.begin(), options_.interfaces.end(), interface.name) !=
	       options_.interfaces.end();
}

// What goes out here and comes in again at an interface that is watched would count twice.
std::string_view Session::why_no_egress(const Interface &interface, const std::vector<Interface> &all) const
{
	if (options_.directions == Directions::ingress)
		return "incoming packets only";
	if (options_.directions == Directions::egress)
		return {};
	if (interface.loopback)
		return "outgoing packets come in again";
	const auto peer = std::find_if(all.begin(), all.end(),
				       [&](const Interface &other) { return other.index == interface.peer; });
	if (interface.peer && peer != all.end() && is_wanted(*peer) && !options_.per_interface)
		return "outgoing packets are counted at its other end";
	return {};
}

// 0 is no scope; 65,535 interfaces may come and go before one is used again.
std::uint16_t Session::next_scope()
{
	if (!options_.per_interface)
		return 0;
	if (++last_scope_ == 0)
		++last_scope_;
	return last_scope_;
}

Result<void> Session::attach(const Interface &interface, const std::vector<Interface> &all)
{
	auto presence = Presence::claim(interface);
	if (!presence)
		return tl::unexpected(presence.error());
	Watched watched{std::move(*presence), {}, {}};
	const bool ingress = options_.directions != Directions::egress;
	const std::string_view no_egress = why_no_egress(interface, all);
	if (auto added = program_.add_interface(interface.index, {.scope = next_scope(),
								  .link_header = static_cast<__u8>(interface.ethernet ? TCPWIN_ETHERNET_HEADER : 0),
								  .ingress = static_cast<__u8>(ingress)});
	    !added)
		return added;
	const auto keep = [&](Result<Hook> hook, std::optional<Hook> &place) -> Result<void> {
		if (!hook) {
			program_.remove_interface(interface.index);
			return tl::unexpected(hook.error());
		}
		place = std::move(*hook);
		return {};
	};
	if (ingress)
		if (auto kept = keep(Hook::attach_ingress(interface, options_.mode, options_.tc_hook, program_.fds()),
				     watched.ingress);
		    !kept)
			return kept;
	if (no_egress.empty())
		if (auto kept = keep(Hook::attach_egress(interface, options_.tc_hook, program_.fds()), watched.egress);
		    !kept)
			return kept;
	spdlog::info("attached to {} {}", interface.name, describe(watched, no_egress));
	names_[interface.index] = interface.name;
	watched_.emplace(interface.index, std::move(watched));
	return {};
}

// One of many that cannot be watched is a warning.
Result<void> Session::attach_new(const std::vector<Interface> &all)
{
	for (const Interface &interface : all) {
		if (!is_wanted(interface) || watched_.contains(interface.index) || refused_.contains(interface.index))
			continue;
		auto attached = attach(interface, all);
		if (attached)
			continue;
		if (!options_.any() || attached.error().exit == Exit::no_permission)
			return attached;
		spdlog::warn("{}", attached.error().sentence());
		refused_.insert(interface.index);
	}
	return {};
}

Result<void> Session::attach_all()
{
	auto all = monitor_.changed();
	if (!all)
		return tl::unexpected(all.error());
	if (auto attached = attach_new(*all); !attached)
		return attached;
	if (options_.any() && watched_.empty())
		spdlog::warn("no interface is up: waiting for one");
	if (!options_.any() && watched_.size() < options_.interfaces.size())
		return fail("cannot attach", "one of the interfaces was deleted meanwhile");
	return writers_.flush(stop_);
}

std::string_view Session::interface_name(unsigned ifindex) const
{
	auto found = names_.find(ifindex);
	return found == names_.end() ? std::string_view("?") : found->second;
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

// What the ring buffer cannot take in one go is swept again after it was drained. What
// has to end goes on after a failed write, so that the report counts every flow.
Result<void> Session::sweep(tcpwin_sweep request)
{
	const bool insist = request.shutdown || request.ifindex;
	Result<void> written; // the first error
	while (true) {
		auto swept = program_.sweep(request);
		if (!swept)
			return tl::unexpected(swept.error());
		if (auto wrote = write_records(); !wrote && written)
			written = wrote;
		if (!written && !insist)
			return written;
		if (!swept->ring_full && (!request.shutdown || swept->remaining == 0))
			return written;
	}
}

tcpwin_sweep sweep_now()
{
	tcpwin_sweep request{};
	request.now_ns = TCPWIN_CLOCK_NOW;
	request.linger_ns = static_cast<__u64>(linger.count());
	return request;
}

// A million flows that go on cost nothing here, where a sweep would take a tenth of a second.
Result<void> Session::sweep_if_due()
{
	if (!program_.is_due() && !program_.table_full())
		return {};
	tcpwin_sweep request = sweep_now();
	if (program_.take_table_full()) {
		warn_full();
		request.linger_ns = 0;
	}
	return sweep(request);
}

// The kernel has detached the programs of a deleted interface; a flow that others saw as well begins anew.
Result<void> Session::forget(unsigned ifindex)
{
	watched_.erase(ifindex);
	program_.remove_interface(ifindex);
	wait_for_packets_in_flight();
	tcpwin_sweep request = sweep_now();
	request.ifindex = ifindex;
	return sweep(request);
}

Result<void> Session::forget_deleted(const std::vector<Interface> &all)
{
	const auto exists = [&](unsigned ifindex) {
		return std::any_of(all.begin(), all.end(),
				   [=](const Interface &interface) { return interface.index == ifindex; });
	};
	std::erase_if(refused_, [&](unsigned ifindex) { return !exists(ifindex); });
	for (auto next = watched_.begin(); next != watched_.end();) {
		const unsigned ifindex = next++->first;
		if (exists(ifindex))
			continue;
		const std::string name(interface_name(ifindex));
		if (auto forgotten = forget(ifindex); !forgotten)
			return forgotten;
		if (watched_.empty() && !options_.any())
			return fail("cannot go on watching " + name,
				    "the interface was deleted while being watched");
		if (options_.any())
			spdlog::info("interface {} was deleted", name);
		else
			spdlog::warn("interface {} was deleted; the others are still watched", name);
	}
	return {};
}

Result<void> Session::follow_interfaces()
{
	auto all = monitor_.changed();
	if (!all)
		return tl::unexpected(all.error());
	for (const Interface &interface : *all)
		if (watched_.contains(interface.index))
			names_[interface.index] = interface.name; // may have been renamed
	if (auto forgotten = forget_deleted(*all); !forgotten)
		return forgotten;
	return options_.any() ? attach_new(*all) : Result<void>{};
}

Result<void> Session::wait(Clock::time_point until)
{
	const auto left = std::max<nanoseconds>(until - Clock::now(), 0ns);
	const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
	const timespec timeout{seconds.count(), (left - seconds).count()};
	pollfd fds[] = {{stop_.fd(), POLLIN, 0},
			{program_.ring_fd(), POLLIN, 0},
			{monitor_.fd(), POLLIN, 0},
			{writers_.watched_fd(), 0, 0}};

	if (ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
		return fail("cannot wait for packets", describe_errno(errno));
	if (fds[0].revents)
		stop_.collect();
	if (fds[3].revents & POLLERR)
		return fail("cannot write records to " + writers_.flow_output().name(), "its reader has gone");
	if (fds[2].revents)
		if (auto followed = follow_interfaces(); !followed)
			return followed;
	return fds[1].revents ? write_records() : Result<void>{};
}

Result<void> Session::watch()
{
	const Clock::time_point start = Clock::now();
	const Clock::time_point end = options_.duration ? start + *options_.duration : Clock::time_point::max();
	Clock::time_point next_sweep = start + options_.poll_interval;

	while (!stop_.requested() && Clock::now() < end) {
		if (auto waited = wait(std::min(next_sweep, end)); !waited)
			return waited;
		const Clock::time_point now = Clock::now();
		if (now >= next_sweep || program_.table_full()) {
			if (auto swept = sweep_if_due(); !swept)
				return swept;
			next_sweep = std::max(next_sweep, now) + options_.poll_interval;
		}
	}
	return {};
}

Result<void> Session::finish()
{
	watched_.clear();
	wait_for_packets_in_flight();
	tcpwin_sweep request = sweep_now();
	request.shutdown = 1;
	return sweep(request);
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

// Before anything is loaded or opened.
Result<void> find_all(const AttachOptions &options, InterfaceMonitor &monitor)
{
	if (options.any())
		return {};
	auto all = monitor.changed();
	if (!all)
		return tl::unexpected(all.error());
	for (const std::string &name : options.interfaces) {
		const auto same = [&](const Interface &interface) { return interface.name == name; };
		if (std::none_of(all->begin(), all->end(), same))
			return fail("cannot attach to " + name, "there is no such interface", "'ip link' lists them");
	}
	return {};
}

} // namespace

Result<void> attach(const AttachOptions &options)
{
	// The output comes last: a mistake elsewhere must not have emptied a file.
	auto monitor = InterfaceMonitor::open();
	if (!monitor)
		return tl::unexpected(monitor.error());
	if (auto found = find_all(options, *monitor); !found)
		return found;
	auto stop = StopSignal::create();
	if (!stop)
		return tl::unexpected(stop.error());
	auto program = Program::load({.max_flows = options.max_flows,
				      .config = options.config,
				      .report_packets = !options.packets.empty(),
				      .per_interface = options.per_interface});
	if (!program)
		return tl::unexpected(program.error());
	auto writers = RecordWriters::open(options);
	if (!writers)
		return tl::unexpected(writers.error());

	Session session(options, std::move(*stop), std::move(*monitor), std::move(*writers), std::move(*program));
	if (auto attached = session.attach_all(); !attached)
		return attached;
	auto result = session.watch();
	auto finished = session.finish();
	if (options.verbosity != Verbosity::quiet)
		std::fputs(session.report().c_str(), stderr); // may fail: stderr is nobody's data
	return result ? finished : result;
}

} // namespace tcpwin
