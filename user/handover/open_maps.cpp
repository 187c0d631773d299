// SPDX-License-Identifier: Apache-2.0
#include "handover/open_maps.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <tcpwin/types.h>

#include "bpf/object_info.hpp"
#include "handover/deployment.hpp"

namespace tcpwin {
namespace {

// map: the kernel's name, "tcpwin_b.data" for data.
bool is_called(std::string_view map, std::string_view pinned)
{
	return map == pinned ||
	       (map.ends_with(pinned) && map.size() > pinned.size() && map[map.size() - pinned.size() - 1] == '.');
}

} // namespace

Result<OpenMaps> OpenMaps::of_deployment(const Deployment &deployment)
{
	if (deployment.detached_program)
		return of_program(deployment.detached_program);
	return deployment.programs.empty() ? of_pins(*deployment.pinned) : of_program(deployment.programs.front().id);
}

Result<OpenMaps> OpenMaps::of_pins(const PinnedInterface &pinned)
{
	OpenMaps maps;
	maps.own_layout_ = pinned.layout() == TCPWIN_LAYOUT_VERSION;
	for (std::size_t i = 0; i < pinned_maps.size(); i++) {
		maps.fds_[i] = pinned.open(pinned_maps[i]);
		if (!maps.fds_[i] && is_read_by_agents(pinned_maps[i]))
			return fail("cannot open " + (pinned.directory() / pinned_maps[i]).string(),
				    describe_errno(errno));
	}
	return maps;
}

Result<OpenMaps> OpenMaps::of_program(unsigned id)
{
	const std::string what = fmt::format("cannot read the maps of program {}", id);
	const UniqueFd program(bpf_prog_get_fd_by_id(id));
	std::array<__u32, 64> ids{}; // the kernel's limit
	bpf_prog_info request{};
	request.nr_map_ids = ids.size();
	request.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
	const auto info = program ? object_info(program.get(), request) : std::nullopt;
	if (!info)
		return fail(what, describe_errno(errno));

	OpenMaps maps;
	for (std::size_t i = 0; i < std::min<std::size_t>(info->nr_map_ids, ids.size()); i++) {
		UniqueFd map(bpf_map_get_fd_by_id(ids[i]));
		const auto map_info = map ? object_info<bpf_map_info>(map.get()) : std::nullopt;
		if (!map_info)
			return fail(what, describe_errno(errno));
		const auto found = std::ranges::find_if(
			pinned_maps, [&](std::string_view pinned) { return is_called(map_info->name, pinned); });
		if (found != pinned_maps.end())
			maps.fds_[static_cast<std::size_t>(found - pinned_maps.begin())] = std::move(map);
	}
	return maps;
}

AgentMaps OpenMaps::get() const
{
	std::size_t i = 0;
	AgentMaps maps;
#define X(name) maps.name##_fd = fds_[i++].get();
	TCPWIN_PINNED_MAPS(X)
#undef X
	maps.own_layout = own_layout_;
	return maps;
}

} // namespace tcpwin
