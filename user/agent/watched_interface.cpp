// SPDX-License-Identifier: Apache-2.0
#include "agent/watched_interface.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/log.hpp"
#include "bpf/neighbours.hpp"
#include "bpf/tc_filter.hpp"

namespace tcpwin {
namespace {

bool suits(const WatchOptions &options, HookKind kind, Direction direction)
{
	if (kind == HookKind::tcx)
		return options.tc_hook != TcHook::clsact &&
		       (direction == Direction::egress || options.mode == IngressMode::automatic ||
			options.mode == IngressMode::tc);
	return direction == Direction::ingress &&
	       (options.mode == IngressMode::automatic ||
		options.mode == (kind == HookKind::xdp_native ? IngressMode::native : IngressMode::generic));
}

int program_for(const ProgramFds &programs, HookKind kind, Direction direction)
{
	return kind != HookKind::tcx           ? programs.xdp :
	       direction == Direction::ingress ? programs.tc_ingress :
						 programs.tc_egress;
}

// Adopting a link fails if its interface was deleted, even if another interface has since received its index.
std::optional<Hook> take_over(const HookSource &source, const Interface &interface, Direction direction)
{
	for (HookKind kind : link_kinds) {
		UniqueFd link = source.persistence->find_link(interface.index, kind, direction);
		if (!link)
			continue;
		if (suits(source.options, kind, direction))
			if (auto hook = Hook::adopt(interface, kind, direction, std::move(link),
						    program_for(source.program.fds(), kind, direction)))
				return std::move(*hook);
		source.persistence->drop_link(interface.index, kind, direction);
	}
	return std::nullopt;
}

Result<Hook> attach_hook(const HookSource &source, const Interface &interface, Direction direction)
{
	if (source.persistence)
		if (auto hook = take_over(source, interface, direction))
			return std::move(*hook);
	const WatchOptions &options = source.options;
	auto hook = direction == Direction::ingress ?
			    Hook::attach_ingress(interface, options.mode, options.tc_hook, source.program.fds()) :
			    Hook::attach_egress(interface, options.tc_hook, source.program.fds());
	if (hook && hook->kind() != HookKind::clsact)
		detach_filter(interface.index, direction);
	return hook;
}

// Detaches hooks of an earlier agent that this one does not need.
void detach(const HookSource &source, const Interface &interface, Direction direction)
{
	if (source.persistence)
		for (HookKind kind : link_kinds)
			source.persistence->drop_link(interface.index, kind, direction);
	detach_filter(interface.index, direction);
}

} // namespace

Result<WatchedInterface> WatchedInterface::attach(const HookSource &source, const Interface &interface, Claim claim,
						  std::string_view why_no_egress)
{
	WatchedInterface watched(std::move(claim));
	if (source.persistence) {
		watched.pins_ = TRY(source.persistence->prepare(source.program, interface.index));
		watched.directory_ = watched.pins_->keep();
	}
	if (auto attached = watched.attach_hooks(source, interface, why_no_egress.empty()); !attached) {
		if (!source.persistence || !source.persistence->is_pinned(interface.index))
			watched.undo();
		return tl::unexpected(attached.error());
	}
	return watched;
}

Result<void> WatchedInterface::attach_hooks(const HookSource &source, const Interface &interface, bool egress)
{
	if (source.options.directions == Directions::egress || leaves_out_ingress(source.options, interface)) {
		detach(source, interface, Direction::ingress);
	} else {
		ingress_.emplace(TRY(attach_hook(source, interface, Direction::ingress)));
	}
	return pin(ingress_).and_then([&] { return set_egress(source, interface, egress); });
}

Result<void> WatchedInterface::set_egress(const HookSource &source, const Interface &interface, bool wanted)
{
	if (!wanted) {
		if (egress_) {
			Hook &hook = egress_->hook();
			hook.persist(false);
			if (pins_ && hook.link_fd() >= 0)
				pins_->unpin(pin_name(hook.kind(), Direction::egress));
			before_ += egress_->coverage();
			before_.detached = 0;
		}
		egress_.reset();
		detach(source, interface, Direction::egress);
		return {};
	}
	egress_.emplace(TRY(attach_hook(source, interface, Direction::egress)));
	return pin(egress_);
}

Result<void> WatchedInterface::pin(std::optional<Attachment> &attachment)
{
	if (!attachment || !pins_)
		return {};
	Hook &hook = attachment->hook();
	hook.persist(true);
	if (hook.link_fd() < 0)
		return {};
	return pins_->pin(pin_name(hook.kind(), hook.direction()), hook.link_fd());
}

void WatchedInterface::undo()
{
	for (auto *attachment : {&ingress_, &egress_})
		if (*attachment)
			(*attachment)->hook().persist(false);
	if (pins_)
		static_cast<void>(pins_->remove()); // the error that led here is the one to report
}

bool WatchedInterface::forget()
{
	for (auto *attachment : {&ingress_, &egress_})
		if (*attachment)
			(*attachment)->hook().detach();
	return !pins_ || pins_->remove().has_value();
}

bool WatchedInterface::is_lost()
{
	return std::ranges::any_of(std::array{&ingress_, &egress_},
				   [](auto *attachment) { return *attachment && (*attachment)->is_lost(); });
}

void WatchedInterface::check(std::string_view name, bool reattach)
{
	for (auto *attachment : {&ingress_, &egress_}) {
		if (!*attachment || !(*attachment)->check(name, reattach))
			continue;
		if (auto pinned = pin(*attachment); !pinned) {
			unpinned_ = true;
			log::warning("{}; what was attached again does not outlive this agent",
				     pinned.error().sentence());
		}
	}
}

bool WatchedInterface::is_blind() const
{
	return std::ranges::none_of(std::array{&ingress_, &egress_}, [](const auto *attachment) {
		return *attachment && !(*attachment)->is_forbidden();
	});
}

Coverage WatchedInterface::coverage() const
{
	Coverage sum = before_;
	for (const auto *attachment : {&ingress_, &egress_})
		if (*attachment)
			sum += (*attachment)->coverage();
	return sum;
}

bool WatchedInterface::pins_are_gone() const
{
	struct stat status{};
	return fstat(directory_.get(), &status) == 0 && status.st_nlink == 0;
}

bool WatchedInterface::has_filter() const
{
	const auto is_filter = [](const std::optional<Attachment> &attachment) {
		return attachment && attachment->hook().kind() == HookKind::clsact;
	};
	return is_filter(ingress_) || is_filter(egress_);
}

void WatchedInterface::log_neighbours(const Interface &interface) const
{
	for (const auto *attachment : {&ingress_, &egress_}) {
		if (!*attachment)
			continue;
		const Hook &hook = (*attachment)->hook();
		const auto [before, after] = find_neighbours(interface.index, hook.kind(), hook.direction());
		const auto packets = hook.direction() == Direction::ingress ? "incoming" : "outgoing";
		if (!before.empty())
			log::warning("{}: {} sees {} packets before the agent: those that it drops, redirects or "
				     "accepts are not seen",
				     interface.name, fmt::join(before, ", "), packets);
		if (!after.empty())
			log::info("{}: the agent sees {} packets before {}", interface.name, packets,
				  fmt::join(after, ", "));
	}
}

std::string WatchedInterface::describe(std::string_view why_no_egress) const
{
	std::string text;
	if (ingress_) {
		const Hook &hook = ingress_->hook();
		text = hook.kind() == HookKind::xdp_native  ? "in native mode" :
		       hook.kind() == HookKind::xdp_generic ? "in generic mode" :
							      fmt::format("in tc mode ({})", name_of(hook.kind()));
		if (!hook.fallback().empty())
			text += fmt::format(" ({})", hook.fallback());
	}
	if (egress_)
		text += fmt::format("{}outgoing packets by {}", text.empty() ? "for " : "; ",
				    name_of(egress_->hook().kind()));
	else if (!why_no_egress.empty())
		text += fmt::format("; {}", why_no_egress);
	return text;
}

} // namespace tcpwin
