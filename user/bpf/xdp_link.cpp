// SPDX-License-Identifier: Apache-2.0
#include "bpf/xdp_link.hpp"

#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>

namespace tcpwin {
namespace {

// "'xdp_pass' (id 17, generic)", or empty if there is none.
std::string attached_program(unsigned ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0)
		return {};
	const __u32 id = query.prog_id   ? query.prog_id :
			 query.drv_prog_id ? query.drv_prog_id :
			 query.skb_prog_id ? query.skb_prog_id :
					     query.hw_prog_id;
	if (id == 0)
		return {};
	const char *mode = query.drv_prog_id == id ? "native" : query.hw_prog_id == id ? "offloaded" : "generic";

	bpf_prog_info info{};
	__u32 size = sizeof(info);
	const UniqueFd program(bpf_prog_get_fd_by_id(id));
	if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
		return fmt::format("with id {} ({})", id, mode);
	return fmt::format("'{}' (id {}, {})", info.name, id, mode);
}

tl::unexpected<Error> already_attached(const std::string &interface, const std::string &program)
{
	return fail("cannot attach to " + interface, "it already has the XDP program " + program,
		    fmt::format("end the agent that attached it, or detach it: ip link set dev {} xdp off", interface));
}

int create_link(unsigned ifindex, XdpMode mode, int program_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, options);
	options.flags = mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	return bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &options);
}

tl::unexpected<Error> explain(const std::string &interface, XdpMode mode, int error)
{
	const std::string what = fmt::format("cannot attach to {} in {} mode", interface,
					     mode == XdpMode::native ? "native" : "generic");
	if (error == -EPERM)
		return fail(what, describe_errno(error), "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
			    Exit::no_permission);
	if (mode == XdpMode::native)
		return fail(what,
			    error == -EOPNOTSUPP ? "its driver has no XDP" :
						   "its driver refuses: " + describe_errno(error),
			    "--mode generic works with any driver", Exit::unsupported);
	return fail(what, describe_errno(error), {}, Exit::unsupported);
}

} // namespace

Result<unsigned> XdpLink::find_interface(const std::string &interface)
{
	if (unsigned ifindex = if_nametoindex(interface.c_str()))
		return ifindex;
	return fail("cannot attach to " + interface, "there is no such interface", "'ip link' lists them");
}

Result<XdpLink> XdpLink::attach(const std::string &interface, XdpMode mode, int program_fd)
{
	const auto found = find_interface(interface);
	if (!found)
		return tl::unexpected(found.error());
	const unsigned ifindex = *found;
	if (std::string program = attached_program(ifindex); !program.empty())
		return already_attached(interface, program);

	XdpMode used = mode == XdpMode::generic ? XdpMode::generic : XdpMode::native;
	std::string fallback;
	int fd = create_link(ifindex, used, program_fd);
	// A program that came in between: EBUSY in native mode, EEXIST in generic.
	if (fd < 0 && mode == XdpMode::automatic && fd != -EBUSY && fd != -EPERM) {
		fallback = explain(interface, used, fd).value().why;
		used = XdpMode::generic;
		fd = create_link(ifindex, used, program_fd);
	}
	if (fd == -EBUSY || fd == -EEXIST)
		return already_attached(interface, attached_program(ifindex));
	if (fd < 0)
		return explain(interface, used, fd);
	return XdpLink(UniqueFd(fd), interface, ifindex, used, std::move(fallback));
}

// The link of a deleted interface reads interface 0.
bool XdpLink::alive() const
{
	bpf_link_info info{};
	__u32 size = sizeof(info);
	return bpf_obj_get_info_by_fd(fd_.get(), &info, &size) == 0 && info.xdp.ifindex != 0;
}

} // namespace tcpwin
