// SPDX-License-Identifier: Apache-2.0
// Which processes hold which TCP sockets, of all network namespaces. Opening needs CAP_BPF and CAP_PERFMON, reading
// nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

struct SocketOwner {
	std::vector<std::uint32_t> pids; // ascending, the lowest ones
	std::string command;             // of the first
};

class SocketOwners {
public:
	static constexpr std::size_t most = 8; // processes of one socket that are named

	static Result<SocketOwners> open();

	using ByCookie = std::unordered_map<std::uint64_t, SocketOwner>;
	// Of all sockets that have a cookie. Goes through the open files of all processes.
	Result<ByCookie> read() const;

private:
	explicit SocketOwners(UniqueFd link) : link_(std::move(link)) {}
	UniqueFd link_; // of the iterator, which keeps its program
};

} // namespace tcpwin
