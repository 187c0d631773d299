// SPDX-License-Identifier: Apache-2.0
#include "bpf/neighbours.hpp"

#include <fmt/format.h>

#include "bpf/program_name.hpp"
#include "bpf/tc_filter.hpp"
#include "bpf/tc_programs.hpp"
#include "bpf/xdp_programs.hpp"

namespace tcpwin {
namespace {

std::string describe(unsigned id, const std::string &name, const std::string &where)
{
	return fmt::format("{} (id {}, {})", name.empty() ? "a program" : "'" + name + "'", id, where);
}

std::string describe(const TcFilter &filter)
{
	const auto direction = name_of(filter.program.direction);
	return filter.program.id ?
		       describe(filter.program.id, filter.program.name, fmt::format("clsact {}", direction)) :
		       fmt::format("a {} filter (clsact {}, priority {})", filter.kind, direction, filter.priority);
}

// Only at ingress: XDP has no other direction.
void add_xdp(unsigned ifindex, std::vector<std::string> &some)
{
	if (const auto programs = xdp_programs(ifindex))
		for (const XdpProgram &program : *programs)
			if (!is_ours(program.name))
				some.push_back(describe(program.id, program.name, fmt::format("{} XDP", program.mode)));
}

void add_tcx(unsigned ifindex, Direction direction, std::vector<std::string> &some)
{
	if (const auto programs = tcx_programs(ifindex))
		for (const TcProgram &program : *programs)
			if (program.direction == direction && !is_ours(program.name))
				some.push_back(
					describe(program.id, program.name, fmt::format("TCX {}", name_of(direction))));
}

void add_filters(unsigned ifindex, Direction direction, Neighbours &found)
{
	const auto filters = tc_filters(ifindex, direction);
	if (!filters)
		return;
	const unsigned own_priority = best_priority(*filters);
	for (const TcFilter &filter : *filters)
		if (!is_ours(filter.program.name))
			(filter.priority < own_priority ? found.before : found.after).push_back(describe(filter));
}

} // namespace

Neighbours find_neighbours(unsigned ifindex, HookKind kind, Direction direction)
{
	Neighbours found;
	if (kind != HookKind::tcx && kind != HookKind::clsact)
		return found;
	if (direction == Direction::ingress)
		add_xdp(ifindex, found.before);
	add_tcx(ifindex, direction, kind == HookKind::clsact ? found.before : found.after);
	if (kind == HookKind::clsact)
		add_filters(ifindex, direction, found);
	return found;
}

} // namespace tcpwin
