// SPDX-License-Identifier: Apache-2.0
// A program on an interface, in one direction, attached as long as the object lives.
#pragma once

#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "bpf/hook_kind.hpp"
#include "net/interface.hpp"

namespace tcpwin {

enum class IngressMode { automatic, native, generic, tc }; // automatic: the first of the others that is available
enum class TcHook { automatic, tcx, clsact };              // automatic: TCX if the kernel has it

struct ProgramFds {
	int xdp;
	int tc_ingress;
	int tc_egress;
};

class Hook {
public:
	// Errors of both: another program is attached (name and id), no permission, or the kernel or driver refuses.
	static Result<Hook> attach_ingress(const Interface &interface, IngressMode mode, TcHook tc_hook,
					   const ProgramFds &programs);
	static Result<Hook> attach_egress(const Interface &interface, TcHook tc_hook, const ProgramFds &programs);

	// Takes over the link of an earlier agent and replaces its program in one step, so that no packet is missed.
	static Result<Hook> adopt(const Interface &interface, HookKind kind, Direction direction, UniqueFd link,
				  int program_fd);

	// Asks the kernel, which tells the order of TCX programs only to a process with CAP_NET_ADMIN; without it, the
	// answer is `behind` if their list changed in any way since attaching.
	HookPlace place();
	// After place() was not `first`: attaches the program again, as the first. If it was behind another one, it is
	// detached first, and misses packets for some milliseconds. Needs no capability, except for clsact.
	Result<void> reattach();

	// stays: the program stays attached when the object is destroyed. A link must be pinned for that.
	void persist(bool stays);
	// Detaches a link at once, pinned or not.
	void detach();

	Hook(Hook &&) noexcept;
	Hook &operator=(Hook &&) noexcept;
	~Hook();

	HookKind kind() const;
	Direction direction() const;
	int link_fd() const;                                      // -1: clsact has no link
	const std::string &fallback() const { return fallback_; } // why no better kind was used, or empty

private:
	struct Handle;

	explicit Hook(std::unique_ptr<Handle> handle);
	static Result<Hook> attach(const Interface &interface, HookKind kind, Direction direction, int program_fd);
	static Result<Hook> attach_xdp(const Interface &interface, HookKind kind, int program_fd);
	static Result<Hook> attach_tc(const Interface &interface, Direction direction, TcHook tc_hook, int program_fd);
	static Result<Hook> attach_best(const Interface &interface, TcHook tc_hook, const ProgramFds &programs);

	std::unique_ptr<Handle> handle_;
	std::string fallback_;
};

} // namespace tcpwin
