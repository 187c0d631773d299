// SPDX-License-Identifier: Apache-2.0
// A program on an interface, in one direction, attached as long as the object lives.
#pragma once

#include <memory>
#include <string>

#include "base/error.hpp"
#include "net/interface.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

enum class Attachment {
	xdp_native,  // in the driver, before an skb exists
	xdp_generic, // after the skb is made; any device; sees merged (GRO) frames as one
	tcx,         // a link at the tc hook, Linux 6.6
	clsact,      // a filter of the clsact qdisc, any kernel
};

enum class IngressMode { automatic, native, generic, tc }; // automatic: the first of the others that can be had
enum class TcHook { automatic, tcx, clsact };              // automatic: TCX where the kernel has it
enum class Direction { ingress, egress };

std::string_view name_of(Attachment attachment);

struct ProgramFds {
	int xdp;
	int tc_ingress;
	int tc_egress;
};

// Those that are links.
constexpr Attachment link_attachments[] = {Attachment::xdp_native, Attachment::xdp_generic, Attachment::tcx};

class Hook {
public:
	// Errors of both: a program of somebody else (by name and id), no permission, what the kernel or driver refuses.
	static Result<Hook> attach_ingress(const Interface &interface, IngressMode mode, TcHook tc_hook,
					   const ProgramFds &programs);
	static Result<Hook> attach_egress(const Interface &interface, TcHook tc_hook, const ProgramFds &programs);

	// Goes on with the link of an earlier agent, which from then on runs this program. No packet goes uncounted.
	static Result<Hook> adopt(const Interface &interface, Attachment attachment, UniqueFd link, int program_fd);

	// Whether what it is attached to stays so when the object goes; a link has to be pinned for that.
	void persist(bool stays);
	// A link: now, pinned or not.
	void detach();

	Hook(Hook &&) noexcept;
	Hook &operator=(Hook &&) noexcept;
	~Hook();

	Attachment attachment() const { return attachment_; }
	int link_fd() const;                                      // -1: clsact has none
	const std::string &fallback() const { return fallback_; } // why nothing better, or empty

private:
	struct Attached;

	Hook(Attachment attachment, std::unique_ptr<Attached> attached, std::string fallback = {});
	static Result<Hook> attach_xdp(const Interface &interface, Attachment attachment, int program_fd);
	static Result<Hook> attach_tc(const Interface &interface, Direction direction, TcHook tc_hook, int program_fd);
	static Result<Hook> attach_clsact(const Interface &interface, Direction direction, int program_fd);

	Attachment attachment_;
	std::unique_ptr<Attached> attached_;
	std::string fallback_;
};

// Removes the clsact filter that an agent left behind; false: there is none.
bool remove_stale_filter(unsigned ifindex, Direction direction);

} // namespace tcpwin
