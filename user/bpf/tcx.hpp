// SPDX-License-Identifier: Apache-2.0
// The programs at a tc hook that are attached by TCX (Linux 6.6), in the order in which they run. The system call is used
// directly: the libbpf and the headers of Debian 12 do not know TCX.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <linux/bpf.h>

#include "bpf/hook_kind.hpp"

namespace tcpwin {

constexpr std::string_view tcx_since = "6.6";

constexpr auto tcx_attach_type(Direction direction)
{
	return static_cast<bpf_attach_type>(direction == Direction::ingress ? 46 : 47);
}

struct TcxList {
	std::vector<unsigned> program_ids;
	std::uint64_t revision = 0; // the kernel changes it whenever the list changes
};

// Returns 0 or -errno: -EINVAL if the kernel has no TCX, -EPERM without CAP_NET_ADMIN.
int query_tcx(unsigned ifindex, Direction direction, TcxList &list);

// Makes the program the first of the list: one that accepts a packet hides it from those behind. Returns a descriptor of
// the link, or -errno: -EINVAL if the kernel has no TCX. Needs no capability, only the descriptor of the program.
int attach_tcx(unsigned ifindex, Direction direction, int program_fd);

// Whether the list, which contains the program, still has this revision. Needs no capability.
bool has_revision(unsigned ifindex, Direction direction, int program_fd, std::uint64_t revision);

// The revision of the list, if it is among the next ones after the given; otherwise 0. Needs no capability.
std::uint64_t find_revision(unsigned ifindex, Direction direction, int program_fd, std::uint64_t after);

} // namespace tcpwin
