// SPDX-License-Identifier: Apache-2.0
#include "bpf/tc_programs.hpp"

#include <cerrno>
#include <utility>

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>

#include "bpf/program_name.hpp"
#include "bpf/tcx.hpp"
#include "net/netlink.hpp"

namespace tcpwin {
namespace {

constexpr auto what = "cannot query tc programs";

// libbpf names a filter "NAME:[ID]", tc names it "FILE:[SECTION]".
std::string filter_name(const nlattr *attribute)
{
	const std::string name = attribute ? nla_get_string(attribute) : "";
	return name.substr(0, name.find(":["));
}

void take_program(nlattr *attribute, TcProgram &program)
{
	nlattr *options[TCA_BPF_MAX + 1];
	if (!attribute || nla_parse_nested(options, TCA_BPF_MAX, attribute, nullptr) != 0 || !options[TCA_BPF_ID])
		return;
	program.id = nla_get_u32(options[TCA_BPF_ID]);
	program.name = program_name(program.id);
	if (program.name.empty())
		program.name = filter_name(options[TCA_BPF_NAME]);
}

// A priority has a message of its own, with handle 0.
void take_filter(nlmsghdr *message, Direction direction, std::vector<TcFilter> &filters)
{
	const auto *header = static_cast<const tcmsg *>(nlmsg_data(message));
	nlattr *attributes[TCA_MAX + 1];
	if (nlmsg_parse(message, sizeof(tcmsg), attributes, TCA_MAX, nullptr) != 0 || !attributes[TCA_KIND] ||
	    header->tcm_handle == 0)
		return;
	TcFilter filter{.kind = nla_get_string(attributes[TCA_KIND]),
			.protocol = ntohs(static_cast<std::uint16_t>(TC_H_MIN(header->tcm_info))),
			.priority = TC_H_MAJ(header->tcm_info) >> 16,
			.handle = header->tcm_handle,
			.program = {.id = 0, .name = {}, .direction = direction}};
	if (filter.kind == "bpf")
		take_program(attributes[TCA_OPTIONS], filter.program);
	filters.push_back(std::move(filter));
}

} // namespace

Result<std::vector<TcFilter>> tc_filters(unsigned ifindex, Direction direction)
{
	const auto socket = TRY(open_netlink(NETLINK_ROUTE));
	std::vector<TcFilter> filters;
	tcmsg request{};
	request.tcm_ifindex = static_cast<int>(ifindex);
	request.tcm_parent =
		TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	int error = nl_send_simple(socket.get(), RTM_GETTFILTER, NLM_F_DUMP, &request, sizeof(request));
	if (error >= 0)
		error = receive_answer(socket.get(),
				       [&](nlmsghdr *message) { take_filter(message, direction, filters); });
	if (error < 0)
		return netlink_failure(what, error);
	return filters;
}

Result<std::vector<TcProgram>> clsact_programs(unsigned ifindex)
{
	std::vector<TcProgram> programs;
	for (const Direction direction : directions)
		for (TcFilter &filter : TRY(tc_filters(ifindex, direction)))
			if (filter.program.id)
				programs.push_back(std::move(filter.program));
	return programs;
}

Result<std::vector<TcProgram>> tcx_programs(unsigned ifindex)
{
	std::vector<TcProgram> programs;
	for (const Direction direction : directions) {
		TcxList list;
		const int error = query_tcx(ifindex, direction, list);
		if (error == -EINVAL) // the kernel has no TCX
			return programs;
		if (error)
			return fail(what, describe_errno(error));
		for (const unsigned id : list.program_ids)
			programs.push_back({id, program_name(id), direction});
	}
	return programs;
}

} // namespace tcpwin
