// SPDX-License-Identifier: Apache-2.0
// The programs of this host that live flows belong to, asked from the kernel when they are shown.
#pragma once

#include <string>

#include "attribution/attribution.hpp"
#include "attribution/cgroups.hpp"
#include "live/flow.hpp"

namespace tcpwin {

// "nginx[812]", "nginx[812+3]" for a socket of four processes; without a process the unit, container or user. Empty: null.
std::string program_text(const Local &local);

class Programs {
public:
	Programs() = default;
	Programs(const Programs &) = delete;
	Programs &operator=(const Programs &) = delete;

	// For a record: by endpoint of the key.
	Locals of(const tcpwin_record &record);
	// "A:curl[77],B:nginx[812]"; "-": neither side is known to live on this host.
	std::string text(const LiveFlow &flow);

private:
	CgroupTree cgroups_{find_cgroup2()};
	Attribution attribution_{[this](std::uint64_t id) { return cgroups_.find(id); }};
};

} // namespace tcpwin
