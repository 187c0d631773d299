// SPDX-License-Identifier: Apache-2.0
#include "agent/interfaces.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <linux/if_ether.h>

#include "base/clocks.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

// Error: another agent holds it.
Result<Claim> claim(const WatchOptions &options, const Interface &interface)
{
	auto own_claim = Claim::of_interface(interface);
	if (own_claim && !options.persistent)
		TRY(refuse_if_pinned(options.bpffs, interface));
	return own_claim;
}

} // namespace

Result<Claims> claim_all(const WatchOptions &options, const std::vector<Interface> &all)
{
	Claims claims;
	for (const Interface &interface : all) {
		const bool wanted = !options.any()     ? is_named(options, interface) :
				    options.persistent ? true : // pins may exist even if it is down
							 interface.up && !interface.stacked;
		if (!wanted)
			continue;
		auto claimed = claim(options, interface);
		if (claimed)
			claims.emplace(interface.index, std::move(*claimed));
		else if (!options.any())
			return tl::unexpected(claimed.error());
	}
	return claims;
}

bool is_named(const WatchOptions &options, const Interface &interface)
{
	return std::ranges::count(options.interfaces, interface.name) > 0;
}

bool Interfaces::is_wanted(const Interface &interface) const
{
	if (options_.any())
		return (interface.up && !interface.stacked) || is_pinned(interface.index);
	return is_named(options_, interface);
}

// A packet that leaves here and arrives at another watched interface would be counted twice.
std::string_view Interfaces::why_no_egress(const Interface &interface, const All &all) const
{
	if (options_.directions == Directions::ingress)
		return "incoming packets only";
	if (options_.directions == Directions::egress || leaves_out_ingress(options_, interface))
		return {};
	if (interface.loopback)
		return "outgoing packets are also received";
	const Interface *peer = interface.peer ? find_interface(all, interface.peer) : nullptr;
	if (peer && (is_wanted(*peer) || watched_.contains(peer->index)) && !options_.per_interface)
		return "outgoing packets are counted at its peer";
	return {};
}

// 0 means no scope; a scope is reused after 65,535 interfaces.
std::uint16_t Interfaces::next_scope()
{
	if (++last_scope_ == 0)
		++last_scope_;
	return last_scope_;
}

// An interface that is taken over keeps its start time and scope.
Result<void> Interfaces::add_to_program(const Interface &interface)
{
	const auto before = program_.interface(interface.index);
	tcpwin_interface added{};
	added.since_ns = before ? before->since_ns : boot_clock_ns();
	if (options_.per_interface)
		added.scope = before && before->scope ? before->scope : next_scope();
	added.link_header = interface.ethernet ? ETH_HLEN : 0;
	added.ingress = options_.directions != Directions::egress;
	interface.name.copy(added.name, sizeof(added.name) - 1);
	names_[interface.index] = interface.name;
	return program_.add_interface(interface.index, added);
}

Result<void> Interfaces::attach(const Interface &interface, const All &all)
{
	auto claimed = claims_.extract(interface.index);
	auto own_claim = TRY(claimed ? Result<Claim>(std::move(claimed.mapped())) : claim(options_, interface));
	TRY(add_to_program(interface));
	const std::string_view no_egress = why_no_egress(interface, all);
	auto watched = WatchedInterface::attach(source(), interface, std::move(own_claim), no_egress);
	if (!watched) {
		if (!is_pinned(interface.index))
			program_.remove_interface(interface.index);
		return tl::unexpected(watched.error());
	}
	log::info("attached to {} {}{}{}", interface.name, watched->describe(no_egress),
		  leaves_out_ingress(options_, interface) ? "; they are also the incoming ones" : "",
		  is_pinned(interface.index) ? "; taken over from an earlier agent" : "");
	watched->log_neighbours(interface);
	watched_.emplace(interface.index, std::move(*watched));
	return {};
}

// With `any`, an interface that cannot be watched causes only a warning.
Result<void> Interfaces::attach_new(const All &all)
{
	for (const Interface &interface : all) {
		if (!is_wanted(interface) || watched_.contains(interface.index) || refused_.contains(interface.index))
			continue;
		auto attached = attach(interface, all);
		if (attached)
			continue;
		if (!options_.any() || attached.error().exit == Exit::no_permission)
			return attached;
		log::warning("{}", attached.error().sentence());
		refused_.insert(interface.index);
	}
	return {};
}

Result<void> Interfaces::attach_all(const All &all)
{
	for (const Interface &interface : all) // before new interfaces get a scope
		if (const auto known = program_.interface(interface.index))
			last_scope_ = std::max(last_scope_, known->scope);
	auto attached = attach_new(all);
	claims_.clear();
	if (attached && !options_.any() && watched_.size() < options_.interfaces.size())
		attached = fail("cannot attach", "one of the interfaces was deleted meanwhile");
	if (!attached) {
		for (auto &[ifindex, watched] : watched_)
			if (!is_pinned(ifindex))
				watched.undo();
		watched_.clear();
		return attached;
	}
	if (options_.any() && watched_.empty())
		log::warning("{}: waiting for one",
			     refused_.empty() ? "no interface is up" : "no interface can be watched");
	return {};
}

// The other end of a pair may have appeared, or moved to another network namespace.
void Interfaces::follow_peers(const All &all)
{
	for (auto &[ifindex, watched] : watched_) {
		const Interface *interface = find_interface(all, ifindex);
		if (!interface || !interface->peer)
			continue;
		const bool wanted = why_no_egress(*interface, all).empty();
		if (wanted == watched.has_egress())
			continue;
		if (auto set = watched.set_egress(source(), *interface, wanted); !set)
			log::warning("{}", set.error().sentence());
	}
}

Result<void> Interfaces::follow(const All &all)
{
	for (const Interface &interface : all)
		if (watched_.contains(interface.index))
			names_[interface.index] = interface.name; // may have been renamed
	std::erase_if(refused_, [&](unsigned ifindex) { return !find_interface(all, ifindex); });
	if (!options_.any())
		return {};
	auto attached = attach_new(all);
	follow_peers(all);
	return attached;
}

std::vector<unsigned> Interfaces::deleted(const All &all) const
{
	std::vector<unsigned> gone;
	for (const auto &[ifindex, watched] : watched_)
		if (!find_interface(all, ifindex))
			gone.push_back(ifindex);
	return gone;
}

bool Interfaces::forget(unsigned ifindex)
{
	const auto found = watched_.find(ifindex);
	if (found == watched_.end())
		return true;
	before_ += found->second.coverage();
	before_.detached = 0;
	const bool removed = found->second.forget();
	watched_.erase(found);
	return removed;
}

bool Interfaces::any_lost()
{
	return std::ranges::any_of(watched_, [](auto &entry) { return entry.second.is_lost(); });
}

Result<void> Interfaces::check(bool reattach)
{
	for (auto &[ifindex, watched] : watched_)
		watched.check(name(ifindex), reattach);
	const auto is_blind = [](const auto &entry) { return entry.second.is_blind(); };
	if (watched_.empty() || !std::ranges::all_of(watched_, is_blind))
		return {};
	return fail(fmt::format("cannot continue watching {}",
				watched_.size() == 1 ? name(watched_.begin()->first) : "any interface"),
		    "other software has detached the agent's programs, and they may not be attached again",
		    reattach ? "" : "the setting reattach=yes permits it");
}

Coverage Interfaces::coverage() const
{
	Coverage sum = before_;
	for (const auto &[ifindex, watched] : watched_)
		sum += watched.coverage();
	return sum;
}

bool Interfaces::pins_are_gone() const
{
	return !watched_.empty() &&
	       std::ranges::all_of(watched_, [](const auto &entry) { return entry.second.pins_are_gone(); });
}

void Interfaces::release(bool leave)
{
	for (const auto &[ifindex, watched] : watched_) {
		if (leave && watched.outlives_agent())
			log::info("{} stays attached: 'attach --persistent' takes it over, 'detach' detaches it",
				  name(ifindex));
		else if (leave)
			log::warning("{} does not stay attached as a whole: 'attach --persistent' attaches again",
				     name(ifindex));
	}
	before_ = coverage();
	watched_.clear();
}

std::string_view Interfaces::name(unsigned ifindex) const
{
	auto found = names_.find(ifindex);
	return found == names_.end() ? std::string_view("?") : found->second;
}

Needs Interfaces::needs() const
{
	const bool filters = std::ranges::any_of(watched_, [](const auto &entry) { return entry.second.has_filter(); });
	const bool reattach = !(program_.config().rules & TCPWIN_RULE_STAY_DETACHED);
	return {.attach_more = options_.any(),
		.attach_again = reattach,
		.change_filters = filters && (!persistence_ || reattach),
		.detach_links = persistence_ != nullptr,
		.pin_below = persistence_ && options_.any() && may_pin_ ? persistence_->root() : ""};
}

void Interfaces::note_process()
{
	if (options_.any())
		process_ = Claim::of_process();
}

} // namespace tcpwin
