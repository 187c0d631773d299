// SPDX-License-Identifier: Apache-2.0
// The maps that agents share and hand over: the one list of their names. A map that shall be pinned and taken over needs
// a line here, and its definition in bpf/maps.bpf.h.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace tcpwin {

// Each is the name of a pin, of a member of the skeleton's maps, and of AgentMaps with _fd behind it. The kernel's name
// of data and bss is that of the object, cut off, a point, and this.
#define TCPWIN_PINNED_MAPS(X) \
	X(flows)              \
	X(records)            \
	X(counters)           \
	X(fragments)          \
	X(interfaces)         \
	X(sources)            \
	X(data)               \
	X(bss)

#define X(name) #name,
constexpr std::array pinned_maps = std::to_array<std::string_view>({TCPWIN_PINNED_MAPS(X)});
#undef X

// Descriptors of an agent's maps, which the caller keeps open. -1: there is no such map.
struct AgentMaps {
#define X(name) int name##_fd = -1;
	TCPWIN_PINNED_MAPS(X)
#undef X
	bool own_layout = false; // true: read the maps by this agent's types, without asking for the maps' own
};

} // namespace tcpwin
