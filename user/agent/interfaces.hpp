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

	// The first three outlive it; persistence may be null. claims: made before anything was touched.
	Interfaces(const WatchOptions &options, Program &program, const Persistence *persistence, Claims claims)
		: options_(options), program_(program), persistence_(persistence), claims_(std::move(claims))
	{
	}

	// At the start. After an error, only what was attached before is attached.
	Result<void> attach_all(const All &all);
	// Interfaces have appeared or changed. With `any`, an interface that cannot be watched is a warning, not an error.
	Result<void> follow(const All &all);
	// Those that are watched but no longer exist.
	std::vector<unsigned> deleted(const All &all) const;
	// Its packets are no longer counted. False: this process may not remove its pins.
	bool forget(unsigned ifindex);
	// Of all interfaces.
	bool pins_are_gone() const;
	// Detaches from all, or (leave) leaves them attached for the next agent.
	void release(bool leave);

	bool empty() const { return watched_.empty(); }
	// The last name of an interface that is or was watched.
	std::string_view name(unsigned ifindex) const;
	void remember_name(unsigned ifindex, std::string name) { names_[ifindex] = std::move(name); }
	// What must still be possible after privileges are dropped.
	Needs needs() const;
	void note_process();

private:
	HookSource source() const { return {options_, program_, persistence_}; }
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
	std::uint16_t last_scope_ = 0;
};

bool is_named(const WatchOptions &options, const Interface &interface);
// Of all interfaces that may be attached, before anything is touched that may be another agent's: maps, configuration,
// files. any: an interface that cannot be claimed is skipped; attaching it later is a warning.
Result<Claims> claim_all(const WatchOptions &options, const std::vector<Interface> &all);

} // namespace tcpwin
