// SPDX-License-Identifier: Apache-2.0
// The kernel features that the programs need, and the Linux versions that introduced them.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include <linux/bpf.h>

namespace tcpwin {

struct KernelFeature {
	std::string_view name;
	std::string_view since; // Linux version
	bool (*present)();      // asks the running kernel; needs CAP_BPF
};

// The features without which the programs do not load, oldest first.
std::span<const KernelFeature> kernel_features();

// The oldest missing feature. present: replaced only in tests.
std::optional<KernelFeature> find_missing_feature(const std::function<bool(const KernelFeature &)> &present =
							  [](const KernelFeature &f) { return f.present(); });

// Whether tc programs can note the cgroup of a socket (CONFIG_SOCK_CGROUP_DATA); without it, the programs must not try.
bool can_note_sockets();

// Whether the kernel has TCX, that is, links at the tc hooks; nullopt: CAP_NET_ADMIN is missing.
std::optional<bool> has_tcx();

} // namespace tcpwin
