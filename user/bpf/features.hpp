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

// BPF_TCX_INGRESS and BPF_TCX_EGRESS: linux/bpf.h has them from Linux 6.6 on, Debian 12's headers are from 6.1.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);
constexpr unsigned tcx_before = 1U << 3; // BPF_F_BEFORE: before all other programs
constexpr std::string_view tcx_since = "6.6";

// Whether the kernel has TCX, that is, links at the tc hooks; nullopt: CAP_NET_ADMIN is missing.
std::optional<bool> has_tcx();

} // namespace tcpwin
