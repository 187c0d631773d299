// SPDX-License-Identifier: Apache-2.0
#include "bpf/features.hpp"

#include <array>
#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/tcx.hpp"

namespace tcpwin {
namespace {

template <bpf_map_type type> bool has_map()
{
	return libbpf_probe_bpf_map_type(type, nullptr) == 1;
}

template <bpf_prog_type type> bool has_program()
{
	return libbpf_probe_bpf_prog_type(type, nullptr) == 1;
}

template <bpf_prog_type type, bpf_func_id helper> bool has_helper()
{
	return libbpf_probe_bpf_helper(type, helper, nullptr) == 1;
}

// There is no probe for compare-and-swap (5.12); every kernel with bpf_for_each_map_elem has it.
constexpr std::array features{
	KernelFeature{"XDP programs", "4.8", has_program<BPF_PROG_TYPE_XDP>},
	KernelFeature{"BPF ring buffer", "5.8", has_map<BPF_MAP_TYPE_RINGBUF>},
	KernelFeature{"bpf_for_each_map_elem", "5.13", has_helper<BPF_PROG_TYPE_XDP, BPF_FUNC_for_each_map_elem>},
	KernelFeature{"BPF syscall programs", "5.14", has_program<BPF_PROG_TYPE_SYSCALL>},
	KernelFeature{"bpf_loop", "5.17", has_helper<BPF_PROG_TYPE_XDP, BPF_FUNC_loop>},
	KernelFeature{"xdp.frags programs", "5.18", has_helper<BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_get_buff_len>},
};

} // namespace

std::span<const KernelFeature> kernel_features()
{
	return features;
}

std::optional<KernelFeature> find_missing_feature(const std::function<bool(const KernelFeature &)> &present)
{
	for (const KernelFeature &feature : features)
		if (!present(feature))
			return feature;
	return std::nullopt;
}

bool can_note_sockets()
{
	return has_helper<BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_cgroup_id>();
}

// A kernel with TCX looks up the interface first; index 0 does not exist.
std::optional<bool> has_tcx()
{
	TcxList none;
	const int error = query_tcx(0, Direction::ingress, none);
	if (error == -EPERM)
		return std::nullopt;
	return error == -ENODEV;
}

} // namespace tcpwin
