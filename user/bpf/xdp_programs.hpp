// SPDX-License-Identifier: Apache-2.0
// The XDP programs attached to an interface, whoever attached them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace tcpwin {

struct XdpProgram {
	unsigned id = 0;       // the kernel's
	std::string name;      // empty: CAP_SYS_ADMIN is missing
	std::string_view mode; // "native", "offloaded" or "generic"
};

// Empty: XDP is free. No capability is needed.
Result<std::vector<XdpProgram>> xdp_programs(unsigned ifindex);

} // namespace tcpwin
