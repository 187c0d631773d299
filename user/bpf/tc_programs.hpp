// SPDX-License-Identifier: Apache-2.0
// The BPF programs that others have attached to an interface's tc.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace tcpwin {

struct TcProgram {
	unsigned id = 0;
	std::string name; // empty: only root may ask
	bool ingress = false;
};

// By clsact; everybody may ask.
Result<std::vector<TcProgram>> clsact_programs(unsigned ifindex);
// Empty: no filter has it.
std::string clsact_program_name(unsigned ifindex, unsigned id);
// By TCX; needs CAP_NET_ADMIN. Empty where the kernel has no TCX.
Result<std::vector<TcProgram>> tcx_programs(unsigned ifindex);

} // namespace tcpwin
