// SPDX-License-Identifier: Apache-2.0
// Everything that agents have deployed in this network namespace: programs on interfaces, whether or not an agent is
// running, and pinned maps of interfaces that were deleted. Needs CAP_SYS_ADMIN.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "bpf/pins.hpp"
#include "handover/attached_programs.hpp"
#include "handover/open_maps.hpp"

namespace tcpwin {

// An agent's programs and maps on one interface.
struct Deployment {
	unsigned ifindex = 0;
	std::string name; // empty: deleted or in another network namespace; the map of interfaces may have the name
	std::vector<AttachedProgram> programs; // empty: the interface was deleted, or the agent killed while attaching
	bool persistent = false;
	std::optional<PinnedInterface> pinned; // only if there are no programs
	unsigned detached_program = 0;         // of a running agent whose programs were all detached: the id of one
};

// In order of interface index; those without programs come last. what: begins the error message if permission is missing.
Result<std::vector<Deployment>> find_deployments(const std::string &bpffs, const std::string &what);

} // namespace tcpwin
