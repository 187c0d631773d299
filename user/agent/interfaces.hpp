// SPDX-License-Identifier: Apache-2.0
// The interfaces that the options ask for, attached as they come and forgotten as they go.
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
#include "cli/options.hpp"
#include "handover/persistence.hpp"
#include "agent/privileges.hpp"
#include "agent/watched_interface.hpp"

namespace tcpwin {

using Claims = std::map<unsigned, Claim>; // by interface index

class Interfaces {
public:
	using All = std::vector<Interface>; // that exist

	// The first three outlive it; persistence may be null. claims: made before anything was touched.
	Interfaces(const AttachOptions &options, Program &program, const Persistence *persistence, Claims claims)
		: options_(options), program_(program), persistence_(persistence), claims_(std::move(claims))
	{
	}

	// At the start. After an error nothing is attached that was not before.
	Result<void> attach_all(const All &all);
	// Interfaces have come or changed. Error: not for one of `any`, which is a warning.
	Result<void> follow(const All &all);
	// Those that are watched and exist no more.
	std::vector<unsigned> deleted(const All &all) const;
	// No packet of it is counted any more. False: this process may not remove what is pinned of it.
	bool forget(unsigned ifindex);
	// Of all.
	bool pins_are_gone() const;
	// Detaches from all, or leaves them attached if they are persistent.
	void release(bool leaves);

	bool empty() const { return watched_.empty(); }
	// Of all that were ever watched, as they were named last.
	std::string_view name(unsigned ifindex) const;
	void remember_name(unsigned ifindex, std::string name) { names_[ifindex] = std::move(name); }
	// What they still need when privileges are given up.
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

	const AttachOptions &options_;
	Program &program_;
	const Persistence *persistence_;
	Claims claims_;                                // of what is not attached yet
	std::map<unsigned, WatchedInterface> watched_; // by interface index
	std::map<unsigned, std::string> names_;        // outlives the interfaces
	std::set<unsigned> refused_;                   // could not be attached; any
	std::optional<Claim> process_;                 // any: makes later claims believable
	std::uint16_t last_scope_ = 0;
};

bool is_named(const AttachOptions &options, const Interface &interface);
// Of all that may be attached, before anything is touched that may be another agent's: its maps, its configuration, its
// files. any: what cannot be claimed is a warning when it is to be attached.
Result<Claims> claim_all(const AttachOptions &options, const std::vector<Interface> &all);

} // namespace tcpwin
