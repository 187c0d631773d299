// SPDX-License-Identifier: Apache-2.0
// What an agent of any layout left behind in its pinned maps, when no program writes them any more.
#pragma once

#include <cstdint>
#include <functional>

#include "error.hpp"

#include <tcpwin/types.h>

namespace tcpwin {

// Descriptors of the maps, which stay the caller's.
struct Leftovers {
	int flows_fd;
	int records_fd;
	int counters_fd;
};

// Hands over the records of the ring buffer, then one of each flow that has none yet, as of an agent that shuts down.
// Takes nothing away: until the caller has written them and removed the maps, they are all there again. Needs
// CAP_SYS_ADMIN, see map_btf.
Result<void> drain_leftovers(const Leftovers &leftovers, std::uint64_t now_ns,
			     const std::function<void(const tcpwin_record &)> &take);

// Sum over the CPUs, of the counters that we know; as Program::counters.
Result<tcpwin_counters> read_counters(int counters_fd);

} // namespace tcpwin
