// SPDX-License-Identifier: Apache-2.0
// The flow tables of the agents of this network namespace, read while they change. Needs CAP_SYS_ADMIN.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <tcpwin/types.h>

#include "handover/deployment.hpp"
#include "bpf/map_reader.hpp"
#include "base/error.hpp"
#include "live/columns.hpp"
#include "live/source.hpp"

namespace tcpwin {

struct LiveTable {
	OpenMaps maps;
	LiveFlows flows;
	std::uint32_t id; // kernel ID of the map
	tcpwin_config config;
	InterfaceNames names;
	std::set<unsigned> asked; // interface indices requested
};

// Each table once, even if several interfaces share it.
class LiveTables {
public:
	// Error: nothing is attached there. what: the operation that fails, for the error.
	static Result<LiveTables> open(const LiveSource &source, const std::string &what);
	// Whether the attached programs have changed since open().
	Result<bool> is_outdated() const;

	// Starts again with the first flow.
	void rewind() { at_ = 0; }
	// Passes some more flows to take, and returns whether there are more.
	Result<bool> read_some(const std::function<void(const tcpwin_record &, const LiveTable &)> &take);

	// Number of TCP packets counted in flows.
	Result<std::uint64_t> tracked_packets() const;
	// Names of the requested interfaces.
	const std::vector<std::string> &interfaces() const { return interfaces_; }
	const InterfaceNames &names() const { return names_; }

private:
	Result<void> add(const Deployment &deployment);

	LiveSource source_;
	std::string what_;
	std::vector<Deployment> deployments_;
	std::vector<LiveTable> tables_;
	std::vector<std::string> interfaces_;
	InterfaceNames names_;
	std::size_t at_ = 0;
};

} // namespace tcpwin
