// SPDX-License-Identifier: Apache-2.0
#include "agent/attachment.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "base/log.hpp"

namespace tcpwin {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds shortest_pause = 1s, longest_pause = 64s;

std::string describe(std::string_view interface, const Hook &hook)
{
	return fmt::format("{}: the {} program for {} packets", interface, name_of(hook.kind()),
			   hook.direction() == Direction::ingress ? "incoming" : "outgoing");
}

double seconds(std::chrono::nanoseconds time)
{
	return std::chrono::duration<double>(time).count();
}

} // namespace

// Without pause after a quiet minute; otherwise twice as long after as before the last one.
Result<void> Attachment::reattach(Clock::time_point now)
{
	pause_ =
		now > next_try_ + longest_pause ? shortest_pause : std::min<Clock::duration>(2 * pause_, longest_pause);
	next_try_ = now + pause_;
	auto attached = hook_.reattach();
	forbidden_ = !attached && attached.error().exit == Exit::no_permission;
	reattachments_ += attached ? 1 : 0;
	return attached;
}

bool Attachment::check_detached(std::string_view name, bool may_reattach, Clock::time_point now)
{
	detached_ = true;
	forbidden_ = !may_reattach;
	unseen_ += now - std::exchange(seen_, now);
	if (!may_reattach || now < next_try_) {
		if (!std::exchange(told_, true))
			log::warning("{} was detached by other software: they are not seen{}", name,
				     may_reattach ? "; the agent will attach it again" : " (reattach=no)");
		return false;
	}
	if (auto attached = reattach(now); !attached) {
		if (!std::exchange(told_, true))
			log::warning("{} was detached by other software: they are not seen", name);
		if (std::exchange(obstacle_, attached.error().why) != obstacle_)
			log::warning("{} cannot be attached again: {}; the agent will try again", name, obstacle_);
		return false;
	}
	if (std::exchange(told_, false))
		log::info("{} is attached again; {:.1f} s or less were not seen", name, seconds(unseen_));
	else
		log::warning("{} was detached by other software; it is attached again, {:.1f} s or less were not seen",
			     name, seconds(unseen_));
	detached_ = false;
	obstacle_.clear();
	seen_ = Clock::now();
	return true;
}

bool Attachment::check_behind(std::string_view name, bool may_reattach, Clock::time_point now)
{
	seen_ = now;
	if (!may_reattach) {
		if (!std::exchange(told_, true))
			log::warning("{} may run behind one of other software: packets that this one takes are not "
				     "seen (reattach=no)",
				     name);
		return false;
	}
	if (now < next_try_)
		return false;
	auto attached = reattach(now);
	const auto gap = Clock::now() - now;
	unseen_ += gap;
	seen_ = now + gap;
	detached_ = !attached;
	if (attached)
		log::warning(
			"{} was overtaken by one of other software, which might hide packets from it; it is the first "
			"again, {:.3f} s were not seen",
			name, seconds(gap));
	else
		log::warning("{} cannot be made the first again: {}; they are not seen", name, attached.error().why);
	return attached.has_value();
}

bool Attachment::check(std::string_view interface, bool may_reattach)
{
	const Clock::time_point now = Clock::now();
	switch (hook_.place()) {
	case HookPlace::detached:
		return check_detached(describe(interface, hook_), may_reattach, now);
	case HookPlace::behind:
		return check_behind(describe(interface, hook_), may_reattach, now);
	case HookPlace::first:
		break;
	}
	seen_ = now;
	told_ = false;
	return false;
}

} // namespace tcpwin
