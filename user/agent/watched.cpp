// SPDX-License-Identifier: Apache-2.0
#include "agent/watched.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace tcpwin {
namespace {

bool suits(const WatchOptions &options, Attachment attachment, Direction direction)
{
	if (attachment == Attachment::tcx)
		return options.tc_hook != TcHook::clsact &&
		       (direction == Direction::egress || options.mode == IngressMode::automatic ||
			options.mode == IngressMode::tc);
	return direction == Direction::ingress &&
	       (options.mode == IngressMode::automatic ||
		options.mode == (attachment == Attachment::xdp_native ? IngressMode::native : IngressMode::generic));
}

int program_for(const ProgramFds &programs, Attachment attachment, Direction direction)
{
	return attachment != Attachment::tcx   ? programs.xdp :
	       direction == Direction::ingress ? programs.tc_ingress :
						 programs.tc_egress;
}

// A link whose interface was deleted, and another one came under its index, refuses.
std::optional<Hook> take_over(const HookSource &source, const Interface &interface, Direction direction)
{
	for (Attachment attachment : link_attachments) {
		UniqueFd link = source.persistence->find_link(interface.index, attachment, direction);
		if (!link)
			continue;
		if (suits(source.options, attachment, direction))
			if (auto hook = Hook::adopt(interface, attachment, std::move(link),
						    program_for(source.program.fds(), attachment, direction)))
				return std::move(*hook);
		source.persistence->drop_link(interface.index, attachment, direction);
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
	if (hook && hook->attachment() != Attachment::clsact)
		remove_stale_filter(interface.index, direction);
	return hook;
}

// What an earlier agent attached, and this one does not want.
void detach(const HookSource &source, const Interface &interface, Direction direction)
{
	if (source.persistence)
		for (Attachment attachment : link_attachments)
			source.persistence->drop_link(interface.index, attachment, direction);
	remove_stale_filter(interface.index, direction);
}

} // namespace

Result<Watched> Watched::attach(const HookSource &source, const Interface &interface, Presence presence,
				std::string_view why_no_egress)
{
	Watched watched(std::move(presence));
	if (source.persistence) {
		auto pins = TRY(source.persistence->prepare(source.program, interface.index));
		watched.pins_ = std::move(pins);
		watched.directory_ = watched.pins_->keep();
	}
	if (auto attached = watched.attach_hooks(source, interface, why_no_egress.empty()); !attached) {
		if (!source.persistence || !source.persistence->is_pinned(interface.index))
			watched.undo();
		return tl::unexpected(attached.error());
	}
	return watched;
}

Result<void> Watched::attach_hooks(const HookSource &source, const Interface &interface, bool egress)
{
	if (source.options.directions == Directions::egress) {
		detach(source, interface, Direction::ingress);
	} else {
		auto hook = TRY(attach_hook(source, interface, Direction::ingress));
		ingress_ = std::move(hook);
	}
	return pin(ingress_, Direction::ingress).and_then([&] { return set_egress(source, interface, egress); });
}

Result<void> Watched::set_egress(const HookSource &source, const Interface &interface, bool wanted)
{
	if (!wanted) {
		if (egress_) {
			egress_->persist(false);
			if (pins_ && egress_->link_fd() >= 0)
				pins_->unpin(pin_name(egress_->attachment(), Direction::egress));
		}
		egress_.reset();
		detach(source, interface, Direction::egress);
		return {};
	}
	auto hook = TRY(attach_hook(source, interface, Direction::egress));
	egress_ = std::move(hook);
	return pin(egress_, Direction::egress);
}

Result<void> Watched::pin(std::optional<Hook> &hook, Direction direction)
{
	if (!hook || !pins_)
		return {};
	hook->persist(true);
	if (hook->link_fd() < 0)
		return {};
	return pins_->pin(pin_name(hook->attachment(), direction), hook->link_fd());
}

void Watched::undo()
{
	for (auto *hook : {&ingress_, &egress_})
		if (*hook)
			(*hook)->persist(false);
	if (pins_)
		static_cast<void>(pins_->remove());
}

bool Watched::forget()
{
	for (auto *hook : {&ingress_, &egress_})
		if (*hook)
			(*hook)->detach();
	return !pins_ || pins_->remove();
}

bool Watched::pins_are_gone() const
{
	struct stat status{};
	return fstat(directory_.get(), &status) == 0 && status.st_nlink == 0;
}

bool Watched::has_filter() const
{
	const auto is_filter = [](const std::optional<Hook> &hook) {
		return hook && hook->attachment() == Attachment::clsact;
	};
	return is_filter(ingress_) || is_filter(egress_);
}

std::string Watched::describe(std::string_view why_no_egress) const
{
	std::string text;
	if (ingress_) {
		text = ingress_->attachment() == Attachment::xdp_native ?
			       "in native mode" :
		       ingress_->attachment() == Attachment::xdp_generic ?
			       "in generic mode" :
			       fmt::format("in tc mode ({})", name_of(ingress_->attachment()));
		if (!ingress_->fallback().empty())
			text += fmt::format(" ({})", ingress_->fallback());
	}
	if (egress_)
		text += fmt::format("{}outgoing packets by {}", text.empty() ? "for " : "; ",
				    name_of(egress_->attachment()));
	else if (!why_no_egress.empty())
		text += fmt::format("; {}", why_no_egress);
	return text;
}

} // namespace tcpwin
