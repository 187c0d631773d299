// SPDX-License-Identifier: Apache-2.0
#include "bpf/tc_programs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>

#include "bpf/features.hpp"
#include "bpf/program_name.hpp"
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

void take_filter(nlmsghdr *message, bool ingress, std::vector<TcProgram> &programs)
{
	nlattr *attributes[TCA_MAX + 1], *options[TCA_BPF_MAX + 1];
	if (nlmsg_parse(message, sizeof(tcmsg), attributes, TCA_MAX, nullptr) != 0 || !attributes[TCA_KIND] ||
	    nla_strcmp(attributes[TCA_KIND], "bpf") != 0 || !attributes[TCA_OPTIONS] ||
	    nla_parse_nested(options, TCA_BPF_MAX, attributes[TCA_OPTIONS], nullptr) != 0 || !options[TCA_BPF_ID])
		return;
	const unsigned id = nla_get_u32(options[TCA_BPF_ID]);
	const std::string name = program_name(id);
	programs.push_back({id, name.empty() ? filter_name(options[TCA_BPF_NAME]) : name, ingress});
}

int list_filters(nl_sock *socket, unsigned ifindex, bool ingress, std::vector<TcProgram> &programs)
{
	tcmsg request{};
	request.tcm_ifindex = static_cast<int>(ifindex);
	request.tcm_parent = TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	const int error = nl_send_simple(socket, RTM_GETTFILTER, NLM_F_DUMP, &request, sizeof(request));
	if (error < 0)
		return error;
	return receive_answer(socket, [&](nlmsghdr *message) { take_filter(message, ingress, programs); });
}

} // namespace

Result<std::vector<TcProgram>> clsact_programs(unsigned ifindex)
{
	const auto socket = TRY(open_netlink(NETLINK_ROUTE));
	std::vector<TcProgram> programs;
	for (bool ingress : {true, false})
		if (int error = list_filters(socket.get(), ifindex, ingress, programs))
			return netlink_failure(what, error);
	return programs;
}

std::string clsact_program_name(unsigned ifindex, unsigned id)
{
	const auto programs = clsact_programs(ifindex);
	if (!programs)
		return {};
	const auto found = std::ranges::find(*programs, id, &TcProgram::id);
	return found == programs->end() ? std::string() : found->name;
}

Result<std::vector<TcProgram>> tcx_programs(unsigned ifindex)
{
	std::vector<TcProgram> programs;
	for (bool ingress : {true, false}) {
		std::array<__u32, 64> ids{}; // BPF_MPROG_MAX, the kernel's limit
		LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids.data(), .prog_cnt = ids.size());
		const int error =
			bpf_prog_query_opts(static_cast<int>(ifindex), ingress ? tcx_ingress : tcx_egress, &query);
		if (error == -EINVAL) // the kernel has no TCX
			return programs;
		if (error)
			return fail(what, describe_errno(error));
		for (__u32 i = 0; i < query.prog_cnt; i++)
			programs.push_back({ids[i], program_name(ids[i]), ingress});
	}
	return programs;
}

} // namespace tcpwin
