// SPDX-License-Identifier: Apache-2.0
// The BPF programs attached to the tc hooks of an interface, whoever attached them.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace tcpwin {

struct TcProgram {
	unsigned id = 0;  // the kernel's
	std::string name; // empty: unknown, CAP_SYS_ADMIN is missing
	bool ingress = false;
};

// Filters of the clsact qdisc. No capability is needed.
Result<std::vector<TcProgram>> clsact_programs(unsigned ifindex);
// The name of the program with this id among them; empty: there is none.
std::string clsact_program_name(unsigned ifindex, unsigned id);
// Links of TCX; empty if the kernel has no TCX. Needs CAP_NET_ADMIN.
Result<std::vector<TcProgram>> tcx_programs(unsigned ifindex);

} // namespace tcpwin
