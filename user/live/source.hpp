// SPDX-License-Identifier: Apache-2.0
// Which flows the live views are asked for.
#pragma once

#include <string>
#include <vector>

#include "bpf/pins.hpp"
#include "live/flow.hpp"

namespace tcpwin {

struct LiveSource {
	std::vector<std::string> interfaces; // where they were first seen; none: all
	std::string bpffs = default_bpffs;
};

} // namespace tcpwin
