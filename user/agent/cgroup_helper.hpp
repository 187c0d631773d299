// SPDX-License-Identifier: Apache-2.0
// Finds the names of cgroups for an agent that can no longer list directories: a separate process (helper_process.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

class CgroupHelper {
public:
	// See start_helper. Where cgroup2 is not mounted, no process is started, and no cgroup has a name.
	static Result<CgroupHelper> start();

	// As CgroupTree::find. Nothing also if the process does not answer within a second; it is not asked again.
	std::optional<std::string> find(std::uint64_t id);

private:
	explicit CgroupHelper(UniqueFd socket) : socket_(std::move(socket)) {}
	UniqueFd socket_;
};

} // namespace tcpwin
