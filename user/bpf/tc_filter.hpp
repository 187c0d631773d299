// SPDX-License-Identifier: Apache-2.0
// The agent's filter in the clsact qdisc of an interface. Unlike a link, a filter stays until it is removed.
#pragma once

#include <vector>

#include "base/error.hpp"
#include "bpf/hook_kind.hpp"
#include "bpf/tc_programs.hpp"
#include "net/interface.hpp"

namespace tcpwin {

// Creates the qdisc if there is none. The filter becomes the first, because one that accepts a packet hides it from those
// behind; a filter that an earlier agent left in the first place is replaced in one step. If a filter of another kind has
// priority 1, the agent's runs behind it. Errors: the qdisc is ingress, not clsact; no permission; any refusal by the
// kernel.
Result<void> attach_filter(const Interface &interface, Direction direction, int program_fd);

// The lowest priority that a filter of the agent can have among these: all filters of a priority are of one kind and see
// one protocol.
unsigned best_priority(const std::vector<TcFilter> &filters);

// Where the filter with this program is, as the kernel says at this moment. Needs no capability.
Result<HookPlace> find_filter(unsigned ifindex, Direction direction, int program_fd);

// Removes the filter of any agent, and the qdisc if no filter is left in it. False: there was none.
bool detach_filter(unsigned ifindex, Direction direction);

} // namespace tcpwin
