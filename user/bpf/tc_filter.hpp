// SPDX-License-Identifier: Apache-2.0
// The agent's filter in the clsact qdisc of an interface. Unlike a link, a filter stays until it is removed.
#pragma once

#include "base/error.hpp"
#include "bpf/hook_kind.hpp"
#include "net/interface.hpp"

namespace tcpwin {

// Creates the qdisc if there is none, and replaces the filter that a killed agent left. Errors: the qdisc is ingress, not
// clsact; another program's filter has the agent's priority and handle; no permission; any refusal by the kernel.
Result<void> attach_filter(const Interface &interface, Direction direction, int program_fd);

// Removes the filter, and the qdisc if no filter is left in it.
void detach_filter(unsigned ifindex, Direction direction);

// Removes the filter that an agent left behind; false: there is none.
bool remove_stale_filter(unsigned ifindex, Direction direction);

} // namespace tcpwin
