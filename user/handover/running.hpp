// SPDX-License-Identifier: Apache-2.0
// An agent's programs as the kernel has them attached, whoever holds them, and the maps behind them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bpf/map_reader.hpp"
#include "base/error.hpp"
#include "net/interface.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

struct RunningProgram {
	std::string hook; // "native XDP", "TCX ingress", "clsact egress", ...
	unsigned id = 0;
};

// Error: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
Result<std::vector<RunningProgram>> running_programs(const Interface &interface);

// The maps that a loaded program uses; closed with the object.
class RunningMaps {
public:
	static Result<RunningMaps> of_program(unsigned id);
	Leftovers get() const;

private:
	UniqueFd flows_, records_, counters_, interfaces_, data_, bss_;
};

} // namespace tcpwin
