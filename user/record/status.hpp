// SPDX-License-Identifier: Apache-2.0
// An interface that is attached, as status shows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>
#include <tcpwin/types.h>

#include "record/record.hpp"

namespace tcpwin {

struct Status {
	struct Hook {
		std::string name; // "native XDP"
		std::uint32_t program_id;
	};

	std::string interface;
	unsigned ifindex;
	std::vector<Hook> hooks;
	std::optional<WallTime> since;
	bool persistent;
	std::optional<pid_t> agent;
	// Of the flow table, which several interfaces may share. What cannot be read is absent.
	std::uint32_t flow_table_id;
	std::uint32_t max_flows;
	std::optional<std::uint64_t> flows;
	std::optional<bool> pressure; // see tcpwin/pressure.h
	std::optional<tcpwin_counters> counters;
};

} // namespace tcpwin
