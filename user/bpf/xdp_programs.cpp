// SPDX-License-Identifier: Apache-2.0
#include "bpf/xdp_programs.hpp"

#include <utility>

#include <bpf/libbpf.h>

#include "bpf/program_name.hpp"

namespace tcpwin {

Result<std::vector<XdpProgram>> xdp_programs(unsigned ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	if (int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &query))
		return fail("cannot query XDP programs", describe_errno(error));
	std::vector<XdpProgram> programs;
	for (auto [id, mode] : {std::pair(query.drv_prog_id, "native"), std::pair(query.hw_prog_id, "offloaded"),
				std::pair(query.skb_prog_id, "generic")})
		if (id)
			programs.push_back({id, program_name(id), mode});
	return programs;
}

} // namespace tcpwin
