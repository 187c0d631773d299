// SPDX-License-Identifier: Apache-2.0
// One interface that is watched: its claim, its hooks, and what is pinned of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bpf/hook.hpp"
#include "bpf/pins.hpp"
#include "bpf/program.hpp"
#include "base/error.hpp"
#include "net/interface.hpp"
#include "agent/options.hpp"
#include "handover/persistence.hpp"
#include "agent/presence.hpp"

namespace tcpwin {

// What hooks are made from.
struct HookSource {
	const WatchOptions &options;
	const Program &program;
	const Persistence *persistence; // null: not persistent
};

class Watched {
public:
	// Takes over what an earlier agent left, as far as it suits the options. After an error nothing is attached that
	// was not before. why_no_egress: empty, or why outgoing packets are not watched.
	static Result<Watched> attach(const HookSource &source, const Interface &interface, Presence presence,
				      std::string_view why_no_egress);

	// The interfaces around it may have changed since.
	Result<void> set_egress(const HookSource &source, const Interface &interface, bool wanted);
	// Detaches in spite of persistence.
	void undo();
	// An interface that was deleted, or has gone to another network namespace: there the kernel detaches nothing. False:
	// pins are left, which this process may not remove any more.
	bool forget();
	// Somebody has removed them: then there will be no next agent that could go on.
	bool pins_are_gone() const;

	bool has_egress() const { return egress_.has_value(); }
	bool has_filter() const;
	// "in native mode; outgoing packets by TCX"
	std::string describe(std::string_view why_no_egress) const;

private:
	explicit Watched(Presence presence) : presence_(std::move(presence)) {}
	Result<void> attach_hooks(const HookSource &source, const Interface &interface, bool egress);
	Result<void> pin(std::optional<Hook> &hook, Direction direction);

	Presence presence_;
	std::optional<Hook> ingress_;
	std::optional<Hook> egress_;
	std::optional<PinnedInterface> pins_; // persistent
	UniqueFd directory_;                  // of the pins: a bpffs in use is not unmounted by mistake
};

} // namespace tcpwin
