// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <bpf/bpf.h>
#include <linux/bpf.h>

namespace tcpwin {

// What the kernel knows about a BPF object. Info: bpf_map_info, bpf_prog_info or bpf_link_info, as fits the descriptor.
// nullopt: errno says why.
template <typename Info> std::optional<Info> object_info(int fd, Info info = {})
{
	__u32 size = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
		return std::nullopt;
	return info;
}

// The kernel's id of a map, and its size; 0: the descriptor is not a map's.
inline std::uint32_t map_id(int fd)
{
	return object_info<bpf_map_info>(fd).value_or(bpf_map_info{}).id;
}

inline std::uint32_t max_entries(int fd)
{
	return object_info<bpf_map_info>(fd).value_or(bpf_map_info{}).max_entries;
}

// The index of the interface that a link of XDP or TCX is attached to; 0: it was deleted, or the link was detached.
// bpf_link_info has no TCX before Linux 6.6 (Debian 12's headers are from 6.1); the index of a TCX link is at the same
// place as that of an XDP link.
inline std::uint32_t attached_interface(int link_fd)
{
	return object_info<bpf_link_info>(link_fd).value_or(bpf_link_info{}).xdp.ifindex;
}

} // namespace tcpwin
