// SPDX-License-Identifier: Apache-2.0
// Which program of this host owns an endpoint: what the BPF program noted of its socket, and, when a stall matters, what
// the kernel says of the socket and its processes now.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tcpwin/types.h>

#include "attribution/socket_diag.hpp"
#include "bpf/socket_owners.hpp"
#include "record/local_program.hpp"

namespace tcpwin {

// Whether a window held a sender up so that it matters which socket it was.
bool is_held_up(const tcpwin_flow &flow);

class Attribution {
public:
	// The path of a cgroup by its ID.
	using FindCgroup = std::function<std::optional<std::string>(std::uint64_t id)>;

	// Opens what it needs to ask the kernel. What cannot be opened stays unknown in all answers, see missing().
	explicit Attribution(FindCgroup find_cgroup);

	// Sentences: what cannot be found out, and why.
	const std::vector<std::string> &missing() const { return missing_; }

	// From what was noted and what was asked before. Null without a socket.
	Local recall(const tcpwin_socket &socket);
	// Asks for the processes of a socket.
	Local name(const tcpwin_socket &socket);
	// Asks also for the state of the socket of an endpoint. A socket that is gone leaves what was known of it.
	Local ask(const tcpwin_key &key, unsigned endpoint, const tcpwin_socket &socket);

private:
	using Clock = std::chrono::steady_clock;

	std::shared_ptr<const Cgroup> cgroup(std::uint64_t id);
	const SocketOwner *owner(std::uint64_t cookie);
	Local remember(std::uint64_t cookie, LocalProgram program);
	void read_owners();

	FindCgroup find_cgroup_;
	std::optional<SocketDiag> diag_;
	std::optional<SocketOwners> owners_;
	std::vector<std::string> missing_;

	struct Name {
		std::shared_ptr<const Cgroup> cgroup; // null: not found
		Clock::time_point asked;
	};
	std::unordered_map<std::uint64_t, Name> cgroups_; // by ID
	std::unordered_map<std::uint64_t, Local> asked_;  // by cookie
	SocketOwners::ByCookie by_cookie_;
	Clock::time_point read_at_{};
	Clock::duration reading_{}; // how long it took
};

} // namespace tcpwin
