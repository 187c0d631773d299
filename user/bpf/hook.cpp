// SPDX-License-Identifier: Apache-2.0
#include "bpf/hook.hpp"

#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>

#include "bpf/features.hpp"
#include "bpf/object_info.hpp"
#include "bpf/program_name.hpp"
#include "bpf/tc_filter.hpp"
#include "bpf/tcx.hpp"
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
			fmt::format("use --mode tc, which sees the packets that it passes on, or detach it: ip link "
				    "set dev {} xdp off",
				    interface.name));
	if (ours || nameless)
		advice.emplace_back(
			"if a persistent agent left it, run 'tcpwin-agent detach' as its user, with its --bpffs, in "
			"the network namespace in which it was started");
	const std::string_view what = program.name == "xdp_dispatcher" ?
					      "libxdp's dispatcher, which runs only programs that libxdp loaded: " :
					      "the XDP program ";
	return fail("cannot attach to " + interface.name,
		    fmt::format("it already has {}", what) +
			    (nameless ? fmt::format("with id {} ({})", program.id, program.mode) :
					fmt::format("'{}' (id {}, {})", program.name, program.id, program.mode)),
		    fmt::format("{}", fmt::join(advice, "; ")));
}

} // namespace

// A link detaches when its last descriptor is closed; a filter must be removed.
struct Hook::Handle {
	HookKind kind;
	Interface interface;
	Direction direction;
	int program_fd;
	UniqueFd link = {};         // none for clsact
	std::uint64_t revision = 0; // of the list of TCX programs; 0: unknown
	bool attached = false;
	bool stays = false;

	Handle(HookKind kind, Interface interface, Direction direction, int program_fd)
		: kind(kind), interface(std::move(interface)), direction(direction), program_fd(program_fd)
	{
	}
	Handle(const Handle &) = delete;
	Handle &operator=(const Handle &) = delete;
	~Handle()
	{
		if (kind == HookKind::clsact && attached && !stays)
			detach_filter(interface.index, direction);
	}

	Result<void> attach();
	HookPlace place_in_tcx_list();
};

Result<void> Hook::Handle::attach()
{
	if (kind == HookKind::clsact) {
		TRY(attach_filter(interface, direction, program_fd));
		attached = true;
		return {};
	}
	int fd = -1;
	if (kind == HookKind::tcx) {
		fd = attach_tcx(interface.index, direction, program_fd);
	} else {
		LIBBPF_OPTS(bpf_link_create_opts, options);
		options.flags = kind == HookKind::xdp_native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(program_fd, static_cast<int>(interface.index), BPF_XDP, &options);
	}
	if (fd < 0)
		return attach_error(interface, kind, fd);
	link = UniqueFd(fd);
	attached = true;
	return {};
}

HookPlace Hook::Handle::place_in_tcx_list()
{
	TcxList list;
	if (query_tcx(interface.index, direction, list) != 0)
		return !revision || has_revision(interface.index, direction, program_fd, revision) ? HookPlace::first :
												     HookPlace::behind;
	revision = list.revision;
	const auto id = object_info<bpf_prog_info>(program_fd).value_or(bpf_prog_info{}).id;
	return !list.program_ids.empty() && list.program_ids.front() == id ? HookPlace::first : HookPlace::behind;
}

Hook::Hook(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Hook::Hook(Hook &&) noexcept = default;
Hook &Hook::operator=(Hook &&) noexcept = default;
Hook::~Hook() = default;

HookKind Hook::kind() const
{
	return handle_->kind;
}

Direction Hook::direction() const
{
	return handle_->direction;
}

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

HookPlace Hook::place()
{
	if (kind() == HookKind::clsact) {
		const auto place = find_filter(handle_->interface.index, direction(), handle_->program_fd);
		return place ? *place : HookPlace::first; // unknown
	}
	if (!handle_->link || attached_interface(handle_->link.get()) == 0)
		return HookPlace::detached;
	return kind() == HookKind::tcx ? handle_->place_in_tcx_list() : HookPlace::first;
}

Result<void> Hook::reattach()
{
	detach();
	handle_->link = UniqueFd();
	TRY(handle_->attach());
	if (kind() == HookKind::tcx && place() == HookPlace::behind)
		handle_->revision =
			find_revision(handle_->interface.index, direction(), handle_->program_fd, handle_->revision);
	return {};
}

Result<Hook> Hook::adopt(const Interface &interface, HookKind kind, Direction direction, UniqueFd link, int program_fd)
{
	if (int error = bpf_link_update(link.get(), program_fd, nullptr))
		return attach_error(interface, kind, error);
	auto handle = std::make_unique<Handle>(kind, interface, direction, program_fd);
	handle->link = std::move(link);
	handle->attached = true;
	Hook hook(std::move(handle));
	if (hook.place() == HookPlace::behind)
		TRY(hook.reattach());
	return hook;
}

Result<Hook> Hook::attach(const Interface &interface, HookKind kind, Direction direction, int program_fd)
{
	auto handle = std::make_unique<Handle>(kind, interface, direction, program_fd);
	TRY(handle->attach());
	Hook hook(std::move(handle));
	hook.place(); // notes the revision
	return hook;
}

Result<Hook> Hook::attach_xdp(const Interface &interface, HookKind kind, int program_fd)
{
	if (!interface.ethernet)
		return fail(cannot_attach(interface, kind), "its frames have no Ethernet header", "use --mode tc",
			    Exit::unsupported);
	return attach(interface, kind, Direction::ingress, program_fd);
}

Result<Hook> Hook::attach_tc(const Interface &interface, Direction direction, TcHook tc_hook, int program_fd)
{
	if (tc_hook == TcHook::clsact || (tc_hook == TcHook::automatic && !has_tcx().value_or(true)))
		return attach(interface, HookKind::clsact, direction, program_fd);
	auto hook = attach(interface, HookKind::tcx, direction, program_fd);
	if (!hook && !has_tcx().value_or(true))
		return fail(fmt::format("cannot attach to {} by TCX", interface.name), "this kernel has no TCX",
			    "Linux 6.6 or later has it; --tc-hook clsact works with any kernel", Exit::unsupported);
	return hook;
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
