// SPDX-License-Identifier: Apache-2.0
// The list of the maps that an agent pins and the next one takes over. A new map needs one line here and its definition
// in bpf/maps.bpf.h.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tcpwin {

// Each name is that of the map, of its pin, of a member of the skeleton's maps and, with _fd appended, of a member of
// AgentMaps. In the kernel the names of data and bss begin with that of the object: "tcpwin_b.data".
#define TCPWIN_PINNED_MAPS(X) \
	X(flows)              \
	X(records)            \
	X(counters)           \
	X(fragments)          \
	X(interfaces)         \
	X(stalled_hosts)      \
	X(numbered_keys)      \
	X(data)               \
	X(bss)

// A directory of pins without all of these is incomplete.
#define X(name) #name,
constexpr std::array pinned_maps = std::to_array<std::string_view>({TCPWIN_PINNED_MAPS(X)});
#undef X

// Only the programs use the others. In another layout those may be missing or have other names (stalled_hosts was
// "sources" up to layout 3), and the flows can be drained all the same.
constexpr bool is_read_by_agents(std::string_view map)
{
	return map != "fragments" && map != "stalled_hosts" && map != "numbered_keys";
}

// Descriptors of an agent's maps, which the caller keeps open. -1: not open.
struct AgentMaps {
#define X(name) int name##_fd = -1;
	TCPWIN_PINNED_MAPS(X)
#undef X
	bool own_layout = false; // true: use this agent's types without querying those of the maps
};

} // namespace tcpwin
