// SPDX-License-Identifier: Apache-2.0
// What is attached to the tc hooks of an interface, whoever attached it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "bpf/hook_kind.hpp"

namespace tcpwin {

struct TcProgram {
	unsigned id = 0;  // the kernel's
	std::string name; // empty: unknown, CAP_SYS_ADMIN is missing
	Direction direction{};
};

// A filter of the clsact qdisc. Only one of kind bpf has a program.
struct TcFilter {
	std::string kind;
	unsigned protocol = 0; // ETH_P_ALL, ETH_P_IP, ...
	unsigned priority = 0;
	std::uint32_t handle = 0;
	TcProgram program;
};

// In the order in which they run. No capability is needed.
Result<std::vector<TcFilter>> tc_filters(unsigned ifindex, Direction direction);
// The programs among them, of both directions.
Result<std::vector<TcProgram>> clsact_programs(unsigned ifindex);
// Those attached by TCX, in the order in which they run, of both directions; empty if the kernel has no TCX. Needs
// CAP_NET_ADMIN.
Result<std::vector<TcProgram>> tcx_programs(unsigned ifindex);

} // namespace tcpwin
