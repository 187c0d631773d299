// SPDX-License-Identifier: Apache-2.0
// Reads the maps of an agent of any layout: drains them once no program writes to them any more, or reads them without
// changing them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include <tcpwin/types.h>

#include "base/error.hpp"
#include "bpf/agent_maps.hpp"

namespace tcpwin {

// Passes the records in the ring buffer to take, then one record per flow that has none yet, as an agent does at
// shutdown. Removes nothing: until the caller removes the maps, another call passes the same records. Maps of another
// layout need CAP_SYS_ADMIN, see map_btf.
Result<void> drain_maps(const AgentMaps &maps, const tcpwin_config &config, std::uint64_t now_ns,
			const std::function<void(const tcpwin_record &)> &take);

// Reads the flows of a table while programs write to it.
class LiveFlows {
public:
	// The descriptors must stay open as long as the object exists.
	static Result<LiveFlows> open(const AgentMaps &maps);
	LiveFlows(LiveFlows &&) noexcept;
	LiveFlows &operator=(LiveFlows &&) noexcept;
	~LiveFlows();

	// Passes a few thousand flows to take, each as a record with reason not_ended, and returns whether there are
	// more. After the last flow it starts over. Flows that begin or end meanwhile may be missing.
	Result<bool> read_some(const std::function<void(const tcpwin_record &)> &take);

private:
	struct Reading;
	explicit LiveFlows(std::unique_ptr<Reading> reading);

	std::unique_ptr<Reading> reading_;
};

// Sums over the CPUs of the counters whose names this agent knows; as Program::counters().
Result<tcpwin_counters> read_counters(const AgentMaps &maps);
// By interface index.
Result<std::map<unsigned, tcpwin_interface>> read_interfaces(const AgentMaps &maps);
Result<tcpwin_config> read_config(const AgentMaps &maps);
// The records that the last agent was about to write, or had written but could not commit.
Result<tcpwin_batch> read_batch(const AgentMaps &maps);
// The number of flows in the table that have no record yet.
Result<std::uint64_t> read_live_flows(const AgentMaps &maps);
// Error also if the maps are of a layout that has none.
Result<tcpwin_pressure> read_pressure(const AgentMaps &maps);

} // namespace tcpwin
