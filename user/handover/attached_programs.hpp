// SPDX-License-Identifier: Apache-2.0
// The programs of any tcpwin-agent that are attached to an interface, by a running agent or left by one.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "net/interface.hpp"

namespace tcpwin {

struct AttachedProgram {
	std::string hook; // "native XDP", "TCX ingress", "clsact egress", ...
	unsigned id = 0;  // the kernel's
};

// Queries the kernel, in the order XDP, TCX, clsact. Error: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
Result<std::vector<AttachedProgram>> attached_programs(const Interface &interface);

} // namespace tcpwin
