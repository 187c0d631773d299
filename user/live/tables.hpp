// SPDX-License-Identifier: Apache-2.0
// The flow tables of the agents of this network namespace, read while they are written. Needs CAP_SYS_ADMIN.
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
	std::uint32_t id; // the kernel's
	tcpwin_config config;
	InterfaceNames names;
	std::set<unsigned> asked; // indices; only if some were asked for
};

// Each table once, whatever number of interfaces share it.
class LiveTables {
public:
	// Error: no agent has attached anything there. what: what cannot be done then.
	static Result<LiveTables> open(const LiveSource &source, const std::string &what);
	// Whether what is attached is not what it was at that time.
	Result<bool> is_outdated() const;

	// Begins with the first flows again.
	void rewind() { at_ = 0; }
	// Hands over some more, and returns whether there are more.
	Result<bool> read_some(const std::function<void(const tcpwin_record &, const LiveTable &)> &take);

	// TCP packets counted in flows.
	Result<std::uint64_t> tracked_packets() const;
	// Of the interfaces that were asked for.
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
