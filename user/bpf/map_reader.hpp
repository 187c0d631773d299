// SPDX-License-Identifier: Apache-2.0
// What an agent of any layout has in its maps: to be drained when no program writes them any more, else to be looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/error.hpp"

#include <tcpwin/types.h>

namespace tcpwin {

// Descriptors of the maps, which stay the caller's.
struct Leftovers {
	int flows_fd;
	int records_fd;
	int counters_fd;
	int interfaces_fd = -1;
	int data_fd = -1;
	int bss_fd = -1;
	bool own_layout = false; // then the maps are read without asking for their types
};

// Hands over the records of the ring buffer, then one of each flow that has none yet, as of an agent that shuts down.
// Takes nothing away: until the caller has written them and removed the maps, they are all there again. Maps of another
// layout need CAP_SYS_ADMIN, see map_btf.
Result<void> drain_leftovers(const Leftovers &leftovers, const tcpwin_config &config, std::uint64_t now_ns,
			     const std::function<void(const tcpwin_record &)> &take);

// The flows of a table that programs may be writing meanwhile.
class LiveFlows {
public:
	// The descriptors have to stay open.
	static Result<LiveFlows> open(const Leftovers &leftovers);
	LiveFlows(LiveFlows &&) noexcept;
	LiveFlows &operator=(LiveFlows &&) noexcept;
	~LiveFlows();

	// Hands over some thousand, each as a record of a flow that has not ended, and returns whether there are more.
	// After the last ones it begins anew. Flows that come or go meanwhile may be missing.
	Result<bool> read_some(const std::function<void(const tcpwin_record &)> &take);

private:
	struct Reading;
	explicit LiveFlows(std::unique_ptr<Reading> reading);

	std::unique_ptr<Reading> reading_;
};

// Sum over the CPUs, of the counters that we know; as Program::counters.
Result<tcpwin_counters> read_counters(const Leftovers &leftovers);
// By interface index.
Result<std::map<unsigned, tcpwin_interface>> read_interfaces(const Leftovers &leftovers);
Result<tcpwin_config> read_config(const Leftovers &leftovers);
// What the last agent was about to write, or had written and could not note any more.
Result<tcpwin_batch> read_batch(const Leftovers &leftovers);
// Flows in the table that have no record yet.
Result<std::uint64_t> read_live_flows(const Leftovers &leftovers);

} // namespace tcpwin
