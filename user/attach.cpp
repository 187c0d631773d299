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

#include <poll.h>
#include <spdlog/spdlog.h>
#include <tcpwin/parse.h>

#include "bpf/hook.hpp"
#include "bpf/packets_in_flight.hpp"
#include "bpf/program.hpp"
#include "net/interface.hpp"
#include "persistence.hpp"
#include "presence.hpp"
#include "privileges.hpp"
#include "record.hpp"
#include "record_writers.hpp"
#include "report.hpp"
#include "stop_signal.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr nanoseconds full_warning = 1s; // at most so often

tcpwin_sweep sweep_now()
{
	tcpwin_sweep request{};
	request.now_ns = TCPWIN_CLOCK_NOW;
	request.linger_ns = TCPWIN_CONTINUES_NS;
	return request;
}

struct Watched {
	Presence presence;
	std::optional<Hook> ingress;
	std::optional<Hook> egress;
	std::optional<PinnedInterface> pins; // --persistent
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
		Program program, std::optional<Persistence> persistence)
		: options_(options), stop_(std::move(stop)), monitor_(std::move(monitor)), writers_(std::move(writers)),
		  program_(std::move(program)), persistence_(std::move(persistence))
	{
	}

	Result<void> attach_all();
	// What is to be attached, is; a monitor goes on with privileges that it could not give up.
	void drop_privileges();
	Result<void> watch();
	// Detaches and writes what is left, after an error too. --persistent: leaves it to the next agent.
	Result<void> finish();
	std::string report();

private:
	Result<void> leave();
	Needs needs() const;
	Result<void> wait(Clock::time_point until);
	Result<void> sweep(tcpwin_sweep request);
	Result<void> sweep_idle();
	Result<void> write_records();
	Result<void> commit(Result<void> written);
	Result<void> follow_interfaces();
	Result<void> forget(unsigned ifindex);
	Result<void> attach(const Interface &interface, const std::vector<Interface> &all);
	Result<void> add_to_program(const Interface &interface);
	Result<void> attach_hooks(const Interface &interface, Watched &watched, std::string_view no_egress);
	Result<Hook> attach_hook(const Interface &interface, Direction direction);
	std::optional<Hook> take_over(const Interface &interface, Direction direction);
	void detach(const Interface &interface, Direction direction);
	Result<void> pin(Watched &watched);
	Result<void> write_out_earlier();
	void undo(unsigned ifindex);
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
	std::optional<Persistence> persistence_;
	std::optional<Presence> process_;       // any: makes later claims believable
	std::map<unsigned, Watched> watched_;   // by interface index
	std::map<unsigned, std::string> names_; // outlives the interfaces
	std::set<unsigned> refused_;            // could not be attached; any
	std::uint16_t last_scope_ = 0;
	std::uint64_t packets_reported_ = 0;
	bool failed_ = false; // records could not be written
	Clock::time_point last_full_warning_{};
};

bool is_named(const AttachOptions &options, const Interface &interface)
{
	return std::ranges::count(options.interfaces, interface.name) > 0;
}

bool Session::is_wanted(const Interface &interface) const
{
	if (options_.any())
		return (interface.up && !interface.stacked) || (persistence_ && persistence_->is_pinned(interface.index));
	return is_named(options_, interface);
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

// What is known of an interface that is taken over stays.
Result<void> Session::add_to_program(const Interface &interface)
{
	const auto before = program_.interface(interface.index);
	tcpwin_interface added{};
	added.since_ns = before ? before->since_ns : boot_clock_ns();
	if (options_.per_interface)
		added.scope = before && before->scope ? before->scope : next_scope();
	added.link_header = interface.ethernet ? TCPWIN_ETHERNET_HEADER : 0;
	added.ingress = options_.directions != Directions::egress;
	interface.name.copy(added.name, sizeof(added.name) - 1);
	names_[interface.index] = interface.name;
	return program_.add_interface(interface.index, added);
}

bool suits(const AttachOptions &options, Attachment attachment, Direction direction)
{
	if (attachment == Attachment::tcx)
		return options.tc_hook != TcHook::clsact &&
		       (direction == Direction::egress || options.mode == IngressMode::automatic ||
			options.mode == IngressMode::tc);
	return direction == Direction::ingress &&
	       (options.mode == IngressMode::automatic ||
		options.mode == (attachment == Attachment::xdp_native ? IngressMode::native : IngressMode::generic));
}

// A link whose interface was deleted, and another one came under its index, refuses.
std::optional<Hook> Session::take_over(const Interface &interface, Direction direction)
{
	const ProgramFds programs = program_.fds();
	for (Attachment attachment : link_attachments) {
		UniqueFd link = persistence_->find_link(interface.index, attachment, direction);
		if (!link)
			continue;
		if (suits(options_, attachment, direction)) {
			const int program = attachment != Attachment::tcx	? programs.xdp :
					    direction == Direction::ingress ? programs.tc_ingress :
									      programs.tc_egress;
			if (auto hook = Hook::adopt(interface, attachment, std::move(link), program))
				return std::move(*hook);
		}
		persistence_->drop_link(interface.index, attachment, direction);
	}
	return std::nullopt;
}

Result<Hook> Session::attach_hook(const Interface &interface, Direction direction)
{
	if (persistence_)
		if (auto hook = take_over(interface, direction))
			return std::move(*hook);
	auto hook = direction == Direction::ingress ?
			    Hook::attach_ingress(interface, options_.mode, options_.tc_hook, program_.fds()) :
			    Hook::attach_egress(interface, options_.tc_hook, program_.fds());
	if (hook && hook->attachment() != Attachment::clsact)
		remove_stale_filter(interface.index, direction);
	return hook;
}

// What an earlier agent attached, and this one does not want.
void Session::detach(const Interface &interface, Direction direction)
{
	if (persistence_)
		for (Attachment attachment : link_attachments)
			persistence_->drop_link(interface.index, attachment, direction);
	remove_stale_filter(interface.index, direction);
}

Result<void> Session::attach_hooks(const Interface &interface, Watched &watched, std::string_view no_egress)
{
	const auto attach = [&](Direction direction, bool wanted, std::optional<Hook> &place) -> Result<void> {
		if (!wanted) {
			detach(interface, direction);
			return {};
		}
		auto hook = attach_hook(interface, direction);
		if (!hook)
			return tl::unexpected(hook.error());
		place = std::move(*hook);
		return {};
	};
	if (auto attached = attach(Direction::ingress, options_.directions != Directions::egress, watched.ingress);
	    !attached)
		return attached;
	return attach(Direction::egress, no_egress.empty(), watched.egress);
}

Result<void> Session::pin(Watched &watched)
{
	const auto pin_one = [&](std::optional<Hook> &hook, Direction direction) -> Result<void> {
		if (!hook)
			return {};
		hook->persist(true);
		return hook->link_fd() < 0 ? Result<void>{} :
					     watched.pins->pin(pin_name(hook->attachment(), direction), hook->link_fd());
	};
	return pin_one(watched.ingress, Direction::ingress).and_then([&] {
		return pin_one(watched.egress, Direction::egress);
	});
}

Result<void> Session::attach(const Interface &interface, const std::vector<Interface> &all)
{
	auto presence = Presence::claim(interface);
	if (!presence)
		return tl::unexpected(presence.error());
	if (!persistence_)
		if (auto free = refuse_if_pinned(options_.bpffs, interface); !free)
			return free;
	if (auto added = add_to_program(interface); !added)
		return added;
	Watched &watched = watched_.emplace(interface.index, Watched{std::move(*presence), {}, {}, {}}).first->second;
	const std::string_view no_egress = why_no_egress(interface, all);
	const auto attached = [&]() -> Result<void> {
		if (!persistence_)
			return attach_hooks(interface, watched, no_egress);
		auto pins = persistence_->prepare(program_, interface.index);
		if (!pins)
			return tl::unexpected(pins.error());
		watched.pins = std::move(*pins);
		return attach_hooks(interface, watched, no_egress).and_then([&] { return pin(watched); });
	}();
	if (!attached) {
		undo(interface.index);
		return attached;
	}
	spdlog::info("attached to {} {}{}", interface.name, describe(watched, no_egress),
		     persistence_ && persistence_->is_pinned(interface.index) ? "; taken over from an earlier agent" : "");
	return {};
}

// What this agent has attached, not what it found.
void Session::undo(unsigned ifindex)
{
	Watched &watched = watched_.at(ifindex);
	if (!persistence_ || !persistence_->is_pinned(ifindex)) {
		for (auto *hook : {&watched.ingress, &watched.egress})
			if (*hook)
				(*hook)->persist(false);
		if (watched.pins)
			static_cast<void>(watched.pins->remove());
		program_.remove_interface(ifindex);
	}
	watched_.erase(ifindex);
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
	for (const Interface &interface : *all) // before new ones get a scope
		if (const auto known = program_.interface(interface.index))
			last_scope_ = std::max(last_scope_, known->scope);
	auto attached = attach_new(*all);
	if (attached && !options_.any() && watched_.size() < options_.interfaces.size())
		attached = fail("cannot attach", "one of the interfaces was deleted meanwhile");
	if (!attached) {
		while (!watched_.empty())
			undo(watched_.begin()->first);
		return attached;
	}
	if (options_.any() && watched_.empty())
		spdlog::warn("no interface is up: waiting for one");
	return persistence_ ? write_out_earlier() : writers_.flush(stop_);
}

// Of maps in another layout, and of interfaces that were deleted while no agent was there.
Result<void> Session::write_out_earlier()
{
	wait_for_packets_in_flight();
	const nanoseconds wall_offset = wall_clock_offset();
	Result<void> written;
	auto drained = persistence_->drain_others(program_, options_.config, [&](const tcpwin_record &record) {
		writers_.flow(make_flow_record(record, options_.config, wall_offset, interface_name(record.flow.ifindex)));
		if (auto flushed = writers_.flush_if_large(stop_); !flushed)
			written = flushed;
	});
	if (auto flushed = writers_.flush(stop_); !flushed)
		written = flushed;
	if (!drained || !written)
		return drained ? written : drained;
	persistence_->remove_others();
	for (const PinnedInterface &gone : persistence_->gone()) {
		if (const auto known = program_.interface(gone.ifindex()))
			names_[gone.ifindex()] = known->name;
		if (auto forgotten = forget(gone.ifindex()); !forgotten)
			return forgotten;
		static_cast<void>(gone.remove());
	}
	return {};
}

Needs Session::needs() const
{
	const auto is_filter = [](const std::optional<Hook> &hook) {
		return hook && hook->attachment() == Attachment::clsact;
	};
	const auto by_filter = [&](const auto &entry) {
		return is_filter(entry.second.ingress) || is_filter(entry.second.egress);
	};
	return {.attach_more = options_.any(),
		.detach_by_netlink = !persistence_ && std::ranges::any_of(watched_, by_filter),
		.pin_more = persistence_ && options_.any()};
}

void Session::drop_privileges()
{
	if (options_.any())
		process_ = Presence::of_process();
	const auto still_works = [this] { return program_.sweep(sweep_now()) && program_.counters(); };
	if (auto dropped = tcpwin::drop_privileges(needs(), still_works); !dropped)
		spdlog::warn("{}", dropped.error().sentence());
}

std::string_view Session::interface_name(unsigned ifindex) const
{
	auto found = names_.find(ifindex);
	return found == names_.end() ? std::string_view("?") : found->second;
}

// What a persistent agent could not write stays in the ring buffer, for the next one.
Result<void> Session::commit(Result<void> written)
{
	failed_ = failed_ || !written;
	if (!failed_ || !persistence_)
		program_.commit();
	return written;
}

Result<void> Session::write_records()
{
	const nanoseconds wall_offset = wall_clock_offset();
	Result<void> written;
	const auto flush_if_large = [&] {
		if (!writers_.is_large())
			return;
		if (auto flushed = commit(writers_.flush(stop_)); !flushed)
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
	if (auto flushed = commit(writers_.flush(stop_)); !flushed)
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

Result<void> Session::sweep_idle()
{
	if (program_.is_idle())
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
	if (const auto watched = watched_.find(ifindex); watched != watched_.end()) {
		if (watched->second.pins) // no longer ours to remove, perhaps: the next agent does it
			static_cast<void>(watched->second.pins->remove());
		watched_.erase(watched);
	}
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
	const auto [records, packets] = program_.ring_fds();
	pollfd fds[] = {{stop_.fd(), POLLIN, 0},
			{monitor_.fd(), POLLIN, 0},
			{writers_.watched_fd(), 0, 0},
			{records, POLLIN, 0},
			{packets, POLLIN, 0}};

	if (ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
		return fail("cannot wait for packets", describe_errno(errno));
	if (fds[0].revents)
		stop_.collect();
	if (fds[2].revents & POLLERR)
		return fail("cannot write records to " + writers_.flow_output().name(), "its reader has gone");
	if (fds[1].revents)
		if (auto followed = follow_interfaces(); !followed)
			return followed;
	return fds[3].revents || fds[4].revents ? write_records() : Result<void>{};
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
			if (auto swept = sweep_idle(); !swept)
				return swept;
			next_sweep = std::max(next_sweep, now) + options_.poll_interval;
		}
	}
	return {};
}

// Flows that are alive go on; what could not be written waits for the next agent.
Result<void> Session::leave()
{
	auto swept = failed_ ? Result<void>{} : sweep(sweep_now());
	for (const auto &[ifindex, watched] : watched_)
		spdlog::info("{} stays attached: 'attach --persistent' goes on with it, 'detach' ends it",
			     interface_name(ifindex));
	watched_.clear();
	return swept;
}

Result<void> Session::finish()
{
	if (persistence_)
		return leave();
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
	std::string text = format_report(writers_.totals(), *counters, options_.config, program_.max_flows());
	if (persistence_)
		text += fmt::format("Flows still in the table: {}\n", program_.live_flows());
	return text;
}

// Without --persistent: nothing.
Result<std::optional<Persistence>> find_earlier(const AttachOptions &options, InterfaceMonitor &monitor)
{
	if (!options.persistent)
		return std::nullopt;
	auto all = monitor.changed();
	if (!all)
		return tl::unexpected(all.error());
	return Persistence::open(options.bpffs, *all, [&](const Interface &interface) {
		return options.any() || is_named(options, interface);
	});
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
	auto persistence = find_earlier(options, *monitor);
	if (!persistence)
		return tl::unexpected(persistence.error());
	auto program = Program::load({.max_flows = options.max_flows,
				      .config = options.config,
				      .report_packets = !options.packets.empty(),
				      .per_interface = options.per_interface,
				      .analyze_stalls = options.analyze_stalls,
				      .adopted = *persistence ? (*persistence)->adopted() : nullptr});
	if (!program)
		return tl::unexpected(program.error());
	auto writers = RecordWriters::open(options);
	if (!writers)
		return tl::unexpected(writers.error());

	if (program->max_flows() != options.max_flows)
		spdlog::warn("the flow table that is taken over keeps its {} entries", program->max_flows());
	Session session(options, std::move(*stop), std::move(*monitor), std::move(*writers), std::move(*program),
			std::move(*persistence));
	if (auto attached = session.attach_all(); !attached)
		return attached;
	session.drop_privileges();
	auto result = session.watch();
	auto finished = session.finish();
	if (options.verbosity != Verbosity::quiet)
		std::fputs(session.report().c_str(), stderr); // may fail: stderr is nobody's data
	return result ? finished : result;
}

} // namespace tcpwin
