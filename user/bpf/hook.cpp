// SPDX-License-Identifier: Apache-2.0
#include "bpf/hook.hpp"

#include <cerrno>
#include <string_view>
#include <variant>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>

#include "bpf/features.hpp"
#include "bpf/program_name.hpp"
#include "net/netlink.hpp"
#include "bpf/tc_programs.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

// Ours among the filters of an interface's clsact qdisc.
constexpr __u32 filter_handle = 0x7463;
constexpr __u32 filter_priority = 0xc0de;
constexpr std::string_view our_prefix = "tcpwin_";

constexpr auto needed_capabilities = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

std::string describe_program(__u32 id, std::string_view where)
{
	const std::string name = program_name(id);
	return name.empty() ? fmt::format("with id {} ({})", id, where) :
			      fmt::format("'{}' (id {}, {})", name, id, where);
}

// As describe_program, or empty if there is none.
std::string xdp_program(unsigned ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0)
		return {};
	const __u32 id = query.prog_id     ? query.prog_id :
			 query.drv_prog_id ? query.drv_prog_id :
			 query.skb_prog_id ? query.skb_prog_id :
					     query.hw_prog_id;
	if (id == 0)
		return {};
	return describe_program(id, query.drv_prog_id == id ? "native" :
				    query.hw_prog_id == id  ? "offloaded" :
							      "generic");
}

tl::unexpected<Error> has_xdp_program(const Interface &interface)
{
	const std::string program = xdp_program(interface.index);
	// The names are for CAP_SYS_ADMIN only.
	const bool ours = program.starts_with(fmt::format("'{}", our_prefix)), nameless = !program.starts_with('\'');
	std::vector<std::string> advice;
	if (!ours)
		advice.push_back(fmt::format("--mode tc watches beside it, or detach it: ip link set dev {} xdp off",
					     interface.name));
	if (ours || nameless)
		advice.emplace_back(
			"if a persistent agent has left it: 'tcpwin-agent detach' of its user, with its --bpffs, in "
			"the network namespace it was started in");
	return fail("cannot attach to " + interface.name, "it already has the XDP program " + program,
		    fmt::format("{}", fmt::join(advice, "; ")));
}

std::string_view mode_of(Attachment attachment)
{
	return attachment == Attachment::xdp_native  ? "native" :
	       attachment == Attachment::xdp_generic ? "generic" :
						       "tc";
}

tl::unexpected<Error> explain(const Interface &interface, Attachment attachment, int error)
{
	const std::string what = fmt::format("cannot attach to {} in {} mode", interface.name, mode_of(attachment));
	if (error == -EPERM)
		return fail(what, describe_errno(error), needed_capabilities, Exit::no_permission);
	if (error == -ENODEV)
		return fail(what, "the interface was deleted meanwhile");
	if (attachment == Attachment::xdp_native)
		return fail(what,
			    error == -EOPNOTSUPP ? "its driver has no XDP" :
						   "its driver refuses: " + describe_errno(error),
			    "--mode generic works with any driver", Exit::unsupported);
	return fail(what, describe_errno(error), attachment == Attachment::xdp_generic ? "try --mode tc" : "",
		    Exit::unsupported);
}

bpf_tc_attach_point attach_point(Direction direction)
{
	return direction == Direction::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

// Filters of whomever in one direction of the clsact qdisc; -1: unknown.
int count_filters(unsigned ifindex, Direction direction)
{
	tcmsg request{};
	request.tcm_ifindex = static_cast<int>(ifindex);
	request.tcm_parent =
		TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	const auto socket = open_netlink(NETLINK_ROUTE);
	int count = 0;
	if (!socket || nl_send_simple(socket->get(), RTM_GETTFILTER, NLM_F_DUMP, &request, sizeof(request)) < 0 ||
	    receive_answer(socket->get(), [&](nlmsghdr *) { count++; }) != 0)
		return -1;
	return count;
}

bpf_tc_hook make_hook(unsigned ifindex, bpf_tc_attach_point point)
{
	bpf_tc_hook hook{};
	hook.sz = sizeof(hook);
	hook.ifindex = static_cast<int>(ifindex);
	hook.attach_point = point;
	return hook;
}

class Filter {
public:
	// Returns 0 or -errno; -EEXIST: the filter of somebody else is there, with this program id.
	static int attach(unsigned ifindex, Direction direction, int program_fd, __u32 *present);
	static void detach(unsigned ifindex, Direction direction);
};

int Filter::attach(unsigned ifindex, Direction direction, int program_fd, __u32 *present)
{
	bpf_tc_hook hook = make_hook(ifindex, attach_point(direction));
	if (int error = bpf_tc_hook_create(&hook); error && error != -EEXIST)
		return error;
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = filter_handle, .priority = filter_priority);
	if (bpf_tc_query(&hook, &query) == 0 && !clsact_program_name(ifindex, query.prog_id).starts_with(our_prefix)) {
		*present = query.prog_id;
		return -EEXIST;
	}
	// What an agent left behind that was killed is replaced.
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE, .handle = filter_handle,
		    .priority = filter_priority);
	return bpf_tc_attach(&hook, &options);
}

// With the last filter goes the qdisc, which does nothing without.
void Filter::detach(unsigned ifindex, Direction direction)
{
	bpf_tc_hook hook = make_hook(ifindex, attach_point(direction));
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filter_handle, .priority = filter_priority);
	if (bpf_tc_detach(&hook, &options) != 0)
		return;
	if (count_filters(ifindex, Direction::ingress) != 0 || count_filters(ifindex, Direction::egress) != 0)
		return;
	bpf_tc_hook both = make_hook(ifindex, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
	bpf_tc_hook_destroy(&both);
}

} // namespace

std::string_view name_of(Attachment attachment)
{
	switch (attachment) {
	case Attachment::xdp_native:
		return "native XDP";
	case Attachment::xdp_generic:
		return "generic XDP";
	case Attachment::tcx:
		return "TCX";
	case Attachment::clsact:
		return "clsact";
	}
	return "?";
}

// A link detaches when its last descriptor is closed, a filter has to be removed.
struct Hook::Attached {
	UniqueFd link;
	unsigned ifindex;
	Direction direction;
	bool stays = false;

	~Attached()
	{
		if (!link && !stays)
			Filter::detach(ifindex, direction);
	}
};

Hook::Hook(Attachment attachment, std::unique_ptr<Attached> attached, std::string fallback)
	: attachment_(attachment), attached_(std::move(attached)), fallback_(std::move(fallback))
{
}

Hook::Hook(Hook &&) noexcept = default;
Hook &Hook::operator=(Hook &&) noexcept = default;
Hook::~Hook() = default;

void Hook::persist(bool stays)
{
	attached_->stays = stays;
}

void Hook::detach()
{
	if (attached_->link)
		bpf_link_detach(attached_->link.get()); // fails for an interface that was deleted
}

int Hook::link_fd() const
{
	return attached_->link.get();
}

Result<Hook> Hook::adopt(const Interface &interface, Attachment attachment, UniqueFd link, int program_fd)
{
	if (int error = bpf_link_update(link.get(), program_fd, nullptr))
		return explain(interface, attachment, error);
	return Hook(attachment,
		    std::unique_ptr<Attached>(new Attached{std::move(link), interface.index, Direction::ingress}));
}

bool remove_stale_filter(unsigned ifindex, Direction direction)
{
	bpf_tc_hook hook = make_hook(ifindex, attach_point(direction));
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = filter_handle, .priority = filter_priority);
	if (bpf_tc_query(&hook, &query) != 0 || !clsact_program_name(ifindex, query.prog_id).starts_with(our_prefix))
		return false;
	Filter::detach(ifindex, direction);
	return true;
}

Result<Hook> Hook::attach_xdp(const Interface &interface, Attachment attachment, int program_fd)
{
	if (!interface.ethernet)
		return fail(fmt::format("cannot attach to {} in {} mode", interface.name, mode_of(attachment)),
			    "its frames have no Ethernet header", "--mode tc works", Exit::unsupported);
	LIBBPF_OPTS(bpf_link_create_opts, options);
	options.flags = attachment == Attachment::xdp_native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	const int fd = bpf_link_create(program_fd, static_cast<int>(interface.index), BPF_XDP, &options);
	if (fd < 0)
		return explain(interface, attachment, fd);
	return Hook(attachment,
		    std::unique_ptr<Attached>(new Attached{UniqueFd(fd), interface.index, Direction::ingress}));
}

Result<Hook> Hook::attach_clsact(const Interface &interface, Direction direction, int program_fd)
{
	__u32 present = 0;
	const int error = Filter::attach(interface.index, direction, program_fd, &present);
	if (error == -EEXIST)
		return fail("cannot attach to " + interface.name,
			    "its clsact qdisc has, at our priority and handle, the program " +
				    describe_program(present, "tc"),
			    "use TCX (Linux 6.6), or move that filter to another priority");
	if (error)
		return explain(interface, Attachment::clsact, error);
	return Hook(Attachment::clsact,
		    std::unique_ptr<Attached>(new Attached{UniqueFd(), interface.index, direction}));
}

Result<Hook> Hook::attach_tc(const Interface &interface, Direction direction, TcHook tc_hook, int program_fd)
{
	if (tc_hook == TcHook::clsact)
		return attach_clsact(interface, direction, program_fd);
	LIBBPF_OPTS(bpf_link_create_opts, options);
	const int fd = bpf_link_create(program_fd, static_cast<int>(interface.index),
				       direction == Direction::ingress ? tcx_ingress : tcx_egress, &options);
	if (fd >= 0)
		return Hook(Attachment::tcx,
			    std::unique_ptr<Attached>(new Attached{UniqueFd(fd), interface.index, direction}));
	if (fd != -EINVAL) // that is what a kernel says that does not know the attach type
		return explain(interface, Attachment::tcx, fd);
	if (tc_hook == TcHook::tcx)
		return fail(fmt::format("cannot attach to {} by TCX", interface.name), "this kernel has no TCX",
			    "Linux 6.6 or later has it; --tc-hook clsact works with any", Exit::unsupported);
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
	if (!xdp_program(interface.index).empty())
		return has_xdp_program(interface);
	if (mode != IngressMode::automatic) {
		const auto wanted = mode == IngressMode::native ? Attachment::xdp_native : Attachment::xdp_generic;
		return attach_xdp(interface, wanted, programs.xdp);
	}
	if (interface.has_vlans && takes_vlan_tags_off(interface.name)) {
		auto hook = attach_tc(interface, Direction::ingress, tc_hook, programs.tc_ingress);
		if (hook)
			hook->fallback_ = "it takes VLAN tags off the frames, where XDP does not see them";
		return hook;
	}
	std::string fallback;
	const auto note = [&](const Error &error, const char *what) {
		fallback += fmt::format("{}{}: {}", fallback.empty() ? "" : "; ", what, error.why);
	};
	auto native = attach_xdp(interface, Attachment::xdp_native, programs.xdp);
	if (native || native.error().exit == Exit::no_permission)
		return native;
	note(native.error(), "no native XDP");
	auto hook = attach_xdp(interface, Attachment::xdp_generic, programs.xdp);
	// A program that came in between: EBUSY in native mode, EEXIST in generic.
	if (!hook && !xdp_program(interface.index).empty())
		return has_xdp_program(interface);
	if (!hook) {
		note(hook.error(), "no generic XDP");
		hook = attach_tc(interface, Direction::ingress, tc_hook, programs.tc_ingress);
	}
	if (hook)
		hook->fallback_ = fallback;
	return hook;
}

} // namespace tcpwin
