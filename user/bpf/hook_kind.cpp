// SPDX-License-Identifier: Apache-2.0
#include "bpf/hook_kind.hpp"

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

namespace tcpwin {
namespace {

constexpr auto needed_capabilities = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

// The value of --mode.
std::string_view mode_of(HookKind kind)
{
	return kind == HookKind::xdp_native ? "native" : kind == HookKind::xdp_generic ? "generic" : "tc";
}

} // namespace

std::string_view name_of(HookKind kind)
{
	switch (kind) {
	case HookKind::xdp_native:
		return "native XDP";
	case HookKind::xdp_generic:
		return "generic XDP";
	case HookKind::tcx:
		return "TCX";
	case HookKind::clsact:
		return "clsact";
	}
	return "?";
}

std::string cannot_attach(const Interface &interface, HookKind kind)
{
	return fmt::format("cannot attach to {} in {} mode", interface.name, mode_of(kind));
}

tl::unexpected<Error> attach_error(const Interface &interface, HookKind kind, int error)
{
	const std::string what = cannot_attach(interface, kind);
	const int errno_value = std::abs(error);
	if (errno_value == EPERM)
		return fail(what, describe_errno(error), needed_capabilities, Exit::no_permission);
	if (errno_value == ENODEV)
		return fail(what, "the interface was deleted meanwhile");
	if (kind == HookKind::xdp_native)
		return fail(what,
			    errno_value == EOPNOTSUPP ? "its driver does not support XDP" :
							"its driver refused: " + describe_errno(error),
			    "--mode generic works with any driver", Exit::unsupported);
	return fail(what, describe_errno(error), kind == HookKind::xdp_generic ? "try --mode tc" : "",
		    Exit::unsupported);
}

} // namespace tcpwin
