// SPDX-License-Identifier: Apache-2.0
// Programs and filters of other software that see the packets of an interface in the same direction as the agent's program.
#pragma once

#include <string>
#include <vector>

#include "bpf/hook_kind.hpp"

namespace tcpwin {

struct Neighbours {
	std::vector<std::string> before; // may hide packets from the agent: "'xdp_dispatcher' (id 17, native XDP)"
	std::vector<std::string> after;  // at the same hook
};

// For a program of the agent that is, or would be, attached as the first at a hook of this kind. What this process may not
// see is left out: without CAP_NET_ADMIN all of TCX, without CAP_SYS_ADMIN the names.
Neighbours find_neighbours(unsigned ifindex, HookKind kind, Direction direction);

} // namespace tcpwin
