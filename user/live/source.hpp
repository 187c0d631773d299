// SPDX-License-Identifier: Apache-2.0
// The flows that a live view reads.
#pragma once

#include <string>
#include <vector>

#include "bpf/pins.hpp"
#include "live/flow.hpp"

namespace tcpwin {

struct LiveSource {
	std::vector<std::string> interfaces; // that saw the first packet; empty: all
	std::string bpffs = default_bpffs;
};

} // namespace tcpwin
