// SPDX-License-Identifier: Apache-2.0
// The interfaces that the options ask for: attached when they appear, forgotten when they are deleted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/program.hpp"
#include "base/error.hpp"
#include "net/interface.hpp"
#include "agent/options.hpp"
#include "handover/persistence.hpp"
#include "agent/privileges.hpp"
#include "agent/watched_interface.hpp"

namespace tcpwin {

using Claims = std::map<unsigned, Claim>; // by interface index

class Interfaces {
public:
	using All = std::vector<Interface>; // all that exist

	// The first three must outlive this object; persistence may be null. claims: made before any shared state was
	// touched.
	Interfaces(const WatchOptions &options, Program &program, const Persistence *persistence, Claims claims)
		: options_(options), program_(program), persistence_(persistence), claims_(std::move(claims))
	{
	}

	// Called at startup. After an error, only hooks that were attached before remain attached.
	Result<void> attach_all(const All &all);
	// Called after interfaces have appeared or changed. With `any`, an interface that cannot be watched causes a
	// warning, not an error.
	Result<void> follow(const All &all);
	// Indices of watched interfaces that no longer exist.
	std::vector<unsigned> deleted(const All &all) const;
	// Stops watching the interface. False: this process has no permission to remove its pins.
	bool forget(unsigned ifindex);
	// Whether a hook has lost its program: because the interface was deleted, or by other software.
	bool any_lost();
	// Attaches again what other software has detached or overtaken, if `reattach` permits it. Error: no program is
	// attached any more, and none may be attached.
	Result<void> check(bool reattach);
	Coverage coverage() const;
	// Whether the pins of all interfaces have been removed.
	bool pins_are_gone() const;
	// Detaches from all interfaces; leave: leaves the programs attached for the next agent.
	void release(bool leave);

	bool empty() const { return watched_.empty(); }
	// The last name of an interface that is or was watched.
	std::string_view name(unsigned ifindex) const;
	void remember_name(unsigned ifindex, std::string name) { names_[ifindex] = std::move(name); }
	// What must still be possible after privileges are dropped.
	Needs needs() const;
	// Interfaces that appear from now on are watched without pins.
	void stop_pinning() { may_pin_ = false; }
	void note_process();

private:
	HookSource source() const { return {options_, program_, may_pin_ ? persistence_ : nullptr}; }
	bool is_wanted(const Interface &interface) const;
	bool is_pinned(unsigned ifindex) const { return persistence_ && persistence_->is_pinned(ifindex); }
	std::string_view why_no_egress(const Interface &interface, const All &all) const;
	std::uint16_t next_scope();
	Result<void> add_to_program(const Interface &interface);
	Result<void> attach(const Interface &interface, const All &all);
	Result<void> attach_new(const All &all);
	void follow_peers(const All &all);

	const WatchOptions &options_;
	Program &program_;
	const Persistence *persistence_;
	Claims claims_;                                // of interfaces not attached yet
	std::map<unsigned, WatchedInterface> watched_; // by interface index
	std::map<unsigned, std::string> names_;        // kept after the interface is gone
	std::set<unsigned> refused_;                   // with any: could not be attached
	std::optional<Claim> process_;                 // with any: makes later claims credible
	Coverage before_;                              // of interfaces that are no longer watched
	std::uint16_t last_scope_ = 0;
	bool may_pin_ = true;
};

bool is_named(const WatchOptions &options, const Interface &interface);
// Claims all interfaces that may be attached, before touching anything that another agent may use: maps, configuration,
// files. With `any`, an interface that cannot be claimed is skipped; the later attempt to attach to it logs a warning.
Result<Claims> claim_all(const WatchOptions &options, const std::vector<Interface> &all);

} // namespace tcpwin
