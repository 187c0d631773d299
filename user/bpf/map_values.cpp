// SPDX-License-Identifier: Apache-2.0
// What map_reader.hpp reads apart from flows: counters, interfaces and global variables.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/counters.hpp"
#include "bpf/map_batches.hpp"
#include "bpf/map_reader.hpp"
#include "bpf/map_types.hpp"

namespace tcpwin {
namespace {

// The bytes from a global variable, of this size, to the end of its map.
Result<std::vector<std::uint8_t>> read_variable(int map_fd, const MapTypes &types, const std::string &name,
						std::size_t size)
{
	constexpr auto what = "cannot read the variables of the last agent";
	const auto offset = TRY(variable_offset(types.theirs.get(), name));
	const auto info = object_info<bpf_map_info>(map_fd);
	if (!info)
		return fail(what, describe_errno(errno));
	if (offset + size > info->value_size)
		return fail(what, "their map is too small");
	std::vector<std::uint8_t> value(info->value_size);
	const std::uint32_t only = 0;
	if (int error = bpf_map_lookup_elem(map_fd, &only, value.data()))
		return fail(what, describe_errno(error));
	value.erase(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(offset));
	return value;
}

template <typename Struct>
Result<Struct> read_struct(int map_fd, bool own_layout, const std::string &type, const std::string &variable)
{
	auto types = TRY(MapTypes::of_map(map_fd, own_layout));
	auto reader = TRY(types.reader(type));
	auto bytes = TRY(read_variable(map_fd, types, variable, reader.size()));
	Struct value;
	reader.read(bytes, &value);
	return value;
}

} // namespace

Result<tcpwin_counters> read_counters(const AgentMaps &maps)
{
	constexpr auto what = "cannot read the counters of the last agent";
	auto types = TRY(MapTypes::of_map(maps.counters_fd, maps.own_layout));
	auto reader = TRY(types.reader("tcpwin_counters", "tcpwin_counter"));
	const auto info = TRY(sized_map_info(maps.counters_fd, sizeof(std::uint32_t), reader.size()));
	const int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return fail(what, describe_errno(cpus));

	const std::size_t stride = (reader.size() + 7) / 8 * 8;
	std::vector<std::uint8_t> each(static_cast<std::size_t>(cpus) * stride);
	tcpwin_counters sum{};
	for (std::uint32_t entry = 0; entry < info.max_entries; entry++) {
		if (int error = bpf_map_lookup_elem(maps.counters_fd, &entry, each.data()))
			return fail(what, describe_errno(error));
		for (std::size_t i = 0; i < each.size(); i += stride) {
			tcpwin_counters cpu;
			reader.read(Bytes(&each[i], reader.size()), &cpu);
			add_counters(sum, cpu);
		}
	}
	return sum;
}

Result<std::map<unsigned, tcpwin_interface>> read_interfaces(const AgentMaps &maps)
{
	auto types = TRY(MapTypes::of_map(maps.interfaces_fd, maps.own_layout));
	auto reader = TRY(types.reader("tcpwin_interface"));
	TRY(sized_map_info(maps.interfaces_fd, sizeof(unsigned), reader.size()));
	std::map<unsigned, tcpwin_interface> all;
	TRY(for_each_entry(maps.interfaces_fd, sizeof(unsigned), reader.size(), [&](Bytes key, Bytes value) {
		unsigned ifindex = 0;
		std::memcpy(&ifindex, key.data(), sizeof(ifindex));
		tcpwin_interface &interface = all[ifindex];
		reader.read(value, &interface);
		interface.name[sizeof(interface.name) - 1] = '\0';
	}));
	return all;
}

Result<tcpwin_config> read_config(const AgentMaps &maps)
{
	return read_struct<tcpwin_config>(maps.data_fd, maps.own_layout, "tcpwin_config", "config");
}

Result<tcpwin_batch> read_batch(const AgentMaps &maps)
{
	return read_struct<tcpwin_batch>(maps.bss_fd, maps.own_layout, "tcpwin_batch", "batch");
}

Result<tcpwin_pressure> read_pressure(const AgentMaps &maps)
{
	return read_struct<tcpwin_pressure>(maps.bss_fd, maps.own_layout, "tcpwin_pressure", "pressure");
}

Result<std::uint64_t> read_live_flows(const AgentMaps &maps)
{
	auto types = TRY(MapTypes::of_map(maps.bss_fd, maps.own_layout));
	std::uint64_t flows = 0;
	auto bytes = TRY(read_variable(maps.bss_fd, types, "live_flows", sizeof(flows)));
	std::memcpy(&flows, bytes.data(), sizeof(flows));
	return flows;
}

} // namespace tcpwin
