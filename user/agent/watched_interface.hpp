// SPDX-License-Identifier: Apache-2.0
// One watched interface: its claim, its hooks and its pins.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/attachment.hpp"
#include "handover/claim.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "bpf/pins.hpp"
#include "bpf/program.hpp"
#include "agent/options.hpp"
#include "handover/persistence.hpp"
#include "net/interface.hpp"

namespace tcpwin {

// What attaching hooks needs.
struct HookSource {
	const WatchOptions &options;
	const Program &program;
	const Persistence *persistence; // null: not persistent
};

class WatchedInterface {
public:
	// Takes over the hooks of an earlier agent that match the options. After an error, only hooks that were
	// attached before remain attached. why_no_egress: why outgoing packets are not watched; empty: they are.
	static Result<WatchedInterface> attach(const HookSource &source, const Interface &interface, Claim claim,
					       std::string_view why_no_egress);

	// Starts or stops watching outgoing packets, after a change of other interfaces.
	Result<void> set_egress(const HookSource &source, const Interface &interface, bool wanted);
	// Detaches and unpins, even with --persistent.
	void undo();
	// For an interface that was deleted or moved to another network namespace, where the kernel would leave the
	// programs attached. False: this process no longer has permission to remove the remaining pins.
	bool forget();
	// Whether another process has removed the pins, so that no agent can take over.
	bool pins_are_gone() const;

	// Whether a hook has lost its program; asks the kernel only.
	bool is_lost();
	// Attaches programs again that were detached or overtaken, if `reattach` permits it, and logs what happened.
	void check(std::string_view name, bool reattach);
	// Whether no program is attached any more, and none may be attached.
	bool is_blind() const;
	Coverage coverage() const;
	// Whether all that is attached is pinned.
	bool outlives_agent() const { return pins_ && !unpinned_; }

	bool has_egress() const { return egress_.has_value(); }
	bool has_filter() const;
	// Logs which programs of other software see packets before the agent, or right after it.
	void log_neighbours(const Interface &interface) const;
	// "in native mode; outgoing packets by TCX"
	std::string describe(std::string_view why_no_egress) const;

private:
	explicit WatchedInterface(Claim claim) : claim_(std::move(claim)) {}
	Result<void> attach_hooks(const HookSource &source, const Interface &interface, bool egress);
	Result<void> pin(std::optional<Attachment> &attachment);

	Claim claim_;
	std::optional<Attachment> ingress_;
	std::optional<Attachment> egress_;
	Coverage before_;                     // of attachments that were given up
	bool unpinned_ = false;               // what was attached again could not be pinned
	std::optional<PinnedInterface> pins_; // persistent
	UniqueFd directory_;                  // of the pins; keeps the bpffs from being unmounted
};

} // namespace tcpwin
