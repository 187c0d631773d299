// SPDX-License-Identifier: Apache-2.0
// What agents have attached in this network namespace, whether they run or not, and what was left of interfaces that
// were deleted. Needs CAP_SYS_ADMIN.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bpf/pins.hpp"
#include "handover/running.hpp"
#include "base/error.hpp"
#include "handover/persistence.hpp"

namespace tcpwin {

// One interface.
struct Attached {
	unsigned ifindex = 0;
	std::string name; // empty: it was deleted or is elsewhere, and the map of interfaces may know it
	std::vector<RunningProgram> programs; // none: the interface was deleted, or its agent killed while it attached
	bool persistent = false;
	std::optional<PinnedInterface> pinned; // where there are no programs
};

// The maps behind it; closed with the object.
class AttachedMaps {
public:
	static Result<AttachedMaps> open(const Attached &attached);
	Leftovers get() const
	{
		return std::visit([](const auto &maps) { return maps.get(); }, maps_);
	}

private:
	explicit AttachedMaps(std::variant<RunningMaps, PinnedLeftovers> maps) : maps_(std::move(maps)) {}

	std::variant<RunningMaps, PinnedLeftovers> maps_;
};

// Those that run first, in order of index. what: what cannot be done without permission.
Result<std::vector<Attached>> find_attached(const std::string &bpffs, const std::string &what);

} // namespace tcpwin
