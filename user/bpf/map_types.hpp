// SPDX-License-Identifier: Apache-2.0
// The types of an agent's maps, and readers that convert them to this agent's types.
#pragma once

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include <linux/bpf.h>

#include "base/error.hpp"
#include "bpf/btf.hpp"
#include "bpf/object_info.hpp"
#include "bpf/struct_reader.hpp"

namespace tcpwin {

struct MapTypes {
	BtfPtr theirs;
	BtfPtr ours;

	// own_layout: use this agent's types without querying those of the map.
	static Result<MapTypes> of_map(int map_fd, bool own_layout)
	{
		auto theirs = TRY(own_layout ? own_btf() : map_btf(map_fd));
		return MapTypes{std::move(theirs), TRY(own_btf())};
	}

	Result<StructReader> reader(const std::string &struct_name, const std::string &index_enum = {}) const
	{
		return StructReader::create(theirs.get(), ours.get(), struct_name, index_enum);
	}
};

// Error: the entries of the map have different sizes.
inline Result<bpf_map_info> sized_map_info(int map_fd, std::size_t key_size, std::size_t value_size)
{
	constexpr auto what = "cannot read the maps of the last agent";
	const auto info = object_info<bpf_map_info>(map_fd);
	if (!info)
		return fail(what, describe_errno(errno));
	if (info->key_size != key_size || info->value_size != value_size)
		return fail(what, "the sizes of their entries do not match their types");
	return *info;
}

} // namespace tcpwin
