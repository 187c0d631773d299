// SPDX-License-Identifier: Apache-2.0
#include "handover/running.hpp"

#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include "bpf/program_name.hpp"
#include "bpf/tc_programs.hpp"

namespace tcpwin {
namespace {

bool is_ours(const std::string &program)
{
	return program.starts_with("tcpwin_");
}

void add_xdp(unsigned ifindex, std::vector<RunningProgram> &programs)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0)
		return;
	for (auto [id, hook] :
	     {std::pair(query.drv_prog_id, "native XDP"), std::pair(query.skb_prog_id, "generic XDP")})
		if (id && is_ours(program_name(id)))
			programs.push_back({hook, id});
}

void add_tc(const std::vector<TcProgram> &some, std::string_view how, std::vector<RunningProgram> &programs)
{
	for (const TcProgram &program : some)
		if (is_ours(program.name))
			programs.push_back(
				{fmt::format("{} {}", how, program.ingress ? "ingress" : "egress"), program.id});
}

} // namespace

Result<std::vector<RunningProgram>> running_programs(const Interface &interface)
{
	const auto tcx = tcx_programs(interface.index), clsact = clsact_programs(interface.index);
	if (!tcx || !clsact)
		return tl::unexpected(tcx ? clsact.error() : tcx.error());
	std::vector<RunningProgram> programs;
	add_xdp(interface.index, programs);
	add_tc(*tcx, "TCX", programs);
	add_tc(*clsact, "clsact", programs);
	return programs;
}

Result<RunningMaps> RunningMaps::of_program(unsigned id)
{
	const std::string what = fmt::format("cannot read the maps of program {}", id);
	const UniqueFd program(bpf_prog_get_fd_by_id(id));
	__u32 ids[64] = {};
	bpf_prog_info info{};
	info.nr_map_ids = std::size(ids);
	info.map_ids = reinterpret_cast<__u64>(ids);
	__u32 size = sizeof(info);
	if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
		return fail(what, describe_errno(errno));

	RunningMaps maps;
	for (__u32 i = 0; i < std::min<std::size_t>(info.nr_map_ids, std::size(ids)); i++) {
		UniqueFd map(bpf_map_get_fd_by_id(ids[i]));
		bpf_map_info map_info{};
		size = sizeof(map_info);
		if (!map || bpf_obj_get_info_by_fd(map.get(), &map_info, &size) != 0)
			return fail(what, describe_errno(errno));
		const std::string_view name = map_info.name;
		UniqueFd *place = name == "flows"         ? &maps.flows_ :
				  name == "records"       ? &maps.records_ :
				  name == "counters"      ? &maps.counters_ :
				  name == "interfaces"    ? &maps.interfaces_ :
				  name.ends_with(".data") ? &maps.data_ :
				  name.ends_with(".bss")  ? &maps.bss_ :
							    nullptr;
		if (place)
			*place = std::move(map);
	}
	return maps;
}

Leftovers RunningMaps::get() const
{
	return {flows_.get(), records_.get(), counters_.get(), interfaces_.get(), data_.get(), bss_.get()};
}

} // namespace tcpwin
