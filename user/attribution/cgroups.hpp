// SPDX-License-Identifier: Apache-2.0
// Names of cgroups by their IDs. The ID of a cgroup is the inode of its directory.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/error.hpp"

namespace tcpwin {

// Where the cgroup2 hierarchy is mounted; empty: nowhere.
std::string find_cgroup2();

// The directories below a mount of cgroup2. Reads the tree again for an ID that it does not know.
class CgroupTree {
public:
	explicit CgroupTree(std::string mount) : mount_(std::move(mount)) {}

	// Path from the mount on, "/" for the mount itself. Nothing if there is no such cgroup; at most one reading of the
	// tree per second, so an answer may be one second late.
	std::optional<std::string> find(std::uint64_t id);

private:
	void read();

	std::string mount_;
	std::unordered_map<std::uint64_t, std::string> paths_;
	std::optional<std::chrono::steady_clock::time_point> read_at_;
};

} // namespace tcpwin
