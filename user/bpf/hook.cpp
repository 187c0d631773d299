// SPDX-License-Identifier: Apache-2.0
#include "bpf/hook.hpp"

#include <cerrno>
#include <optional>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>

#include "bpf/features.hpp"
#include "bpf/program_name.hpp"
#include "bpf/tc_filter.hpp"
#include "bpf/xdp_programs.hpp"

namespace tcpwin {
namespace {

// The program that occupies the XDP hook, if any.
std::optional<XdpProgram> present_xdp_program(const Interface &interface)
{
	const auto programs = xdp_programs(interface.index);
	return programs && !programs->empty() ? std::optional(programs->front()) : std::nullopt;
}

tl::unexpected<Error> xdp_is_taken(const Interface &interface, const XdpProgram &program)
{
	const bool nameless = program.name.empty(), ours = is_ours(program.name);
	std::vector<std::string> advice;
	if (!ours)
		advice.push_back(
			fmt::format("use --mode tc, which works beside it, or detach it: ip link set dev {} xdp off",
				    interface.name));
	if (ours || nameless)
		advice.emplace_back(
			"if a persistent agent left it, run 'tcpwin-agent detach' as its user, with its --bpffs, in "
			"the network namespace in which it was started");
	return fail("cannot attach to " + interface.name,
		    "it already has the XDP program " +
			    (nameless ? fmt::format("with id {} ({})", program.id, program.mode) :
					fmt::format("'{}' (id {}, {})", program.name, program.id, program.mode)),
		    fmt::format("{}", fmt::join(advice, "; ")));
}

} // namespace

// A link detaches when its last descriptor is closed; a filter must be removed.
struct Hook::Handle {
	UniqueFd link;
	unsigned ifindex;
	Direction direction;
	bool stays = false;

	Handle(UniqueFd link, unsigned ifindex, Direction direction)
		: link(std::move(link)), ifindex(ifindex), direction(direction)
	{
	}
	Handle(const Handle &) = delete;
	Handle &operator=(const Handle &) = delete;
	~Handle()
	{
		if (!link && !stays)
			detach_filter(ifindex, direction);
	}
};

Hook::Hook(HookKind kind, std::unique_ptr<Handle> handle) : kind_(kind), handle_(std::move(handle)) {}
Hook::Hook(Hook &&) noexcept = default;
Hook &Hook::operator=(Hook &&) noexcept = default;
Hook::~Hook() = default;

void Hook::persist(bool stays)
{
	handle_->stays = stays;
}

void Hook::detach()
{
	if (handle_->link)
		bpf_link_detach(handle_->link.get()); // fails if the interface was deleted
}

int Hook::link_fd() const
{
	return handle_->link.get();
}

Result<Hook> Hook::adopt(const Interface &interface, HookKind kind, UniqueFd link, int program_fd)
{
	if (int error = bpf_link_update(link.get(), program_fd, nullptr))
		return attach_error(interface, kind, error);
	return Hook(kind, std::make_unique<Handle>(std::move(link), interface.index, Direction::ingress));
}

Result<Hook> Hook::attach_xdp(const Interface &interface, HookKind kind, int program_fd)
{
	if (!interface.ethernet)
		return fail(cannot_attach(interface, kind), "its frames have no Ethernet header", "use --mode tc",
			    Exit::unsupported);
	LIBBPF_OPTS(bpf_link_create_opts, options);
	options.flags = kind == HookKind::xdp_native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	const int fd = bpf_link_create(program_fd, static_cast<int>(interface.index), BPF_XDP, &options);
	if (fd < 0)
		return attach_error(interface, kind, fd);
	return Hook(kind, std::make_unique<Handle>(UniqueFd(fd), interface.index, Direction::ingress));
}

Result<Hook> Hook::attach_clsact(const Interface &interface, Direction direction, int program_fd)
{
	TRY(attach_filter(interface, direction, program_fd));
	return Hook(HookKind::clsact, std::make_unique<Handle>(UniqueFd(), interface.index, direction));
}

Result<Hook> Hook::attach_tc(const Interface &interface, Direction direction, TcHook tc_hook, int program_fd)
{
	if (tc_hook == TcHook::clsact)
		return attach_clsact(interface, direction, program_fd);
	LIBBPF_OPTS(bpf_link_create_opts, options);
	options.flags = tcx_before; // a program that accepts a packet hides it from those behind
	const int fd = bpf_link_create(program_fd, static_cast<int>(interface.index),
				       direction == Direction::ingress ? tcx_ingress : tcx_egress, &options);
	if (fd >= 0)
		return Hook(HookKind::tcx, std::make_unique<Handle>(UniqueFd(fd), interface.index, direction));
	if (fd != -EINVAL) // the kernel does not know the attach type
		return attach_error(interface, HookKind::tcx, fd);
	if (tc_hook == TcHook::tcx)
		return fail(fmt::format("cannot attach to {} by TCX", interface.name), "this kernel has no TCX",
			    "Linux 6.6 or later has it; --tc-hook clsact works with any kernel", Exit::unsupported);
	return attach_clsact(interface, direction, program_fd);
}

Result<Hook> Hook::attach_egress(const Interface &interface, TcHook tc_hook, const ProgramFds &programs)
{
	return attach_tc(interface, Direction::egress, tc_hook, programs.tc_egress);
}

Result<Hook> Hook::attach_ingress(const Interface &interface, IngressMode mode, TcHook tc_hook,
				  const ProgramFds &programs)
{
	if (mode == IngressMode::tc)
		return attach_tc(interface, Direction::ingress, tc_hook, programs.tc_ingress);
	if (const auto present = present_xdp_program(interface))
		return xdp_is_taken(interface, *present);
	if (mode == IngressMode::native)
		return attach_xdp(interface, HookKind::xdp_native, programs.xdp);
	if (mode == IngressMode::generic)
		return attach_xdp(interface, HookKind::xdp_generic, programs.xdp);
	return attach_best(interface, tc_hook, programs);
}

// Tries native XDP, generic XDP and tc, in this order.
Result<Hook> Hook::attach_best(const Interface &interface, TcHook tc_hook, const ProgramFds &programs)
{
	if (interface.has_vlans && takes_vlan_tags_off(interface.name)) {
		auto hook = attach_tc(interface, Direction::ingress, tc_hook, programs.tc_ingress);
		if (hook)
			hook->fallback_ = "it strips VLAN tags from the frames, so XDP does not see them";
		return hook;
	}
	auto native = attach_xdp(interface, HookKind::xdp_native, programs.xdp);
	if (native || native.error().exit == Exit::no_permission)
		return native;
	std::string fallback = "no native XDP: " + native.error().why;
	auto hook = attach_xdp(interface, HookKind::xdp_generic, programs.xdp);
	if (!hook) {
		// A program may have been attached meanwhile: EBUSY in native mode, EEXIST in generic.
		if (const auto present = present_xdp_program(interface))
			return xdp_is_taken(interface, *present);
		fallback += "; no generic XDP: " + hook.error().why;
		hook = attach_tc(interface, Direction::ingress, tc_hook, programs.tc_ingress);
	}
	if (hook)
		hook->fallback_ = fallback;
	return hook;
}

} // namespace tcpwin
