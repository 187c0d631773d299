// SPDX-License-Identifier: Apache-2.0
// The kinds of hooks at which programs see packets, and the errors of attaching to them.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "net/interface.hpp"

namespace tcpwin {

enum class HookKind {
	xdp_native,  // in the driver, before an skb exists
	xdp_generic, // after the skb is made; any device; sees merged (GRO) frames as one
	tcx,         // a link at the tc hook, Linux 6.6
	clsact,      // a filter of the clsact qdisc, any kernel
};

// The kinds that are links.
constexpr HookKind link_kinds[] = {HookKind::xdp_native, HookKind::xdp_generic, HookKind::tcx};

enum class Direction { ingress, egress };
constexpr Direction directions[] = {Direction::ingress, Direction::egress};

// Where a program is among those of its hook, each of which may hide packets from those behind. first: as far ahead as it
// can be.
enum class HookPlace { first, behind, detached };

// "native XDP", "generic XDP", "TCX" or "clsact".
std::string_view name_of(HookKind kind);
constexpr std::string_view name_of(Direction direction)
{
	return direction == Direction::ingress ? "ingress" : "egress";
}

// The error if the kernel refuses to attach. error: errno, of either sign.
tl::unexpected<Error> attach_error(const Interface &interface, HookKind kind, int error);
// Error::what of such an error: "cannot attach to eth0 in native mode".
std::string cannot_attach(const Interface &interface, HookKind kind);

} // namespace tcpwin
