// SPDX-License-Identifier: Apache-2.0
// A hook whose program other software may detach, or hide packets from. check() notices, and attaches it again.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "bpf/hook.hpp"
#include "record/stats.hpp"

namespace tcpwin {

class Attachment {
public:
	using Clock = std::chrono::steady_clock;

	explicit Attachment(Hook hook) : hook_(std::move(hook)) {}

	Hook &hook() { return hook_; }
	const Hook &hook() const { return hook_; }
	Coverage coverage() const { return {unseen_, reattachments_, detached_ ? 1U : 0U}; }
	// The error with which attaching again failed last, if the program is detached and may not be attached.
	bool is_forbidden() const { return detached_ && forbidden_; }

	// Asks the kernel only.
	bool is_lost() { return hook_.place() == HookPlace::detached; }
	// Logs what has changed. reattach: whether the program may be attached again. Returns whether it was, by which a
	// link becomes another one.
	bool check(std::string_view interface, bool reattach);

private:
	bool check_detached(std::string_view name, bool reattach, Clock::time_point now);
	bool check_behind(std::string_view name, bool reattach, Clock::time_point now);
	Result<void> reattach(Clock::time_point now);

	Hook hook_;
	Clock::time_point seen_ = Clock::now(); // when the program was last known to be attached
	Clock::time_point next_try_{};
	Clock::duration pause_{}; // until the next try, if two programs displace each other
	std::chrono::nanoseconds unseen_{};
	std::uint64_t reattachments_ = 0;
	bool detached_ = false;
	bool forbidden_ = false;
	bool told_ = false;    // that something is wrong
	std::string obstacle_; // to attaching again, as it was told
};

} // namespace tcpwin
