// SPDX-License-Identifier: Apache-2.0
// The program of this host that owns an endpoint of a flow, as far as it is known.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tcpwin {

// What the name of a cgroup says about its processes.
struct Cgroup {
	std::string path;      // in the cgroup2 hierarchy, "/" for the root
	std::string unit;      // of systemd, as sd_pid_get_unit(3) finds it; or empty
	std::string container; // ID of a container, or empty
	std::string pod;       // UID of a Kubernetes pod, or empty
};

inline constexpr std::size_t short_container_id = 12; // as `docker ps` shows it

// As Docker, containerd, CRI-O, Podman, the kubelet and systemd write paths, with systemd's cgroup driver and with
// cgroupfs.
Cgroup parse_cgroup(std::string_view path);

// The kernel's own books of a socket when it was asked.
struct SocketState {
	std::uint64_t cookie = 0;
	std::uint32_t uid = 0;
	std::uint64_t cgroup = 0;                 // 0: the kernel did not say (before 5.7)
	std::uint32_t receive_queue = 0;          // bytes that the program has not read
	std::uint32_t receive_buffer = 0;         // its limit, SO_RCVBUF
	std::chrono::microseconds rwnd_limited{}; // for how long the peer's window held up this side (TCP_INFO)
};

struct LocalProgram {
	std::uint32_t uid = 0;
	std::vector<std::uint32_t> pids;      // ascending, at most a few; empty: unknown
	std::string command;                  // of the first; empty: unknown
	std::shared_ptr<const Cgroup> cgroup; // null: unknown
	std::optional<SocketState> socket;
};

using Local = std::shared_ptr<const LocalProgram>; // null: not on this host, or unknown
using Locals = std::array<Local, 2>;               // by endpoint of the key

} // namespace tcpwin
