// SPDX-License-Identifier: Apache-2.0
#include "handover/attached_programs.hpp"

#include <string_view>

#include <fmt/format.h>

#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"
#include "bpf/xdp_programs.hpp"

namespace tcpwin {
namespace {

void add_tc(const std::vector<TcProgram> &some, std::string_view how, std::vector<AttachedProgram> &programs)
{
	for (const TcProgram &program : some)
		if (is_ours(program.name))
			programs.push_back({fmt::format("{} {}", how, name_of(program.direction)), program.id});
}

} // namespace

Result<std::vector<AttachedProgram>> attached_programs(const Interface &interface)
{
	const auto tcx = TRY(tcx_programs(interface.index)), clsact = TRY(clsact_programs(interface.index));
	std::vector<AttachedProgram> programs;
	if (const auto xdp = xdp_programs(interface.index)) // error: the interface was deleted just now
		for (const XdpProgram &program : *xdp)
			if (is_ours(program.name))
				programs.push_back({fmt::format("{} XDP", program.mode), program.id});
	add_tc(tcx, "TCX", programs);
	add_tc(clsact, "clsact", programs);
	return programs;
}

} // namespace tcpwin
