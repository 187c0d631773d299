// SPDX-License-Identifier: Apache-2.0
// What the programs need of a kernel, and since which version Linux has it.
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

// Those without which the programs do not load, oldest first.
std::span<const KernelFeature> kernel_features();

// The oldest feature that is missing, by asking `present`, which is KernelFeature::present but in tests.
std::optional<KernelFeature> find_missing_feature(const std::function<bool(const KernelFeature &)> &present =
							  [](const KernelFeature &f) { return f.present(); });

// BPF_TCX_INGRESS and BPF_TCX_EGRESS, which are younger than Debian 12's headers.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);
constexpr std::string_view tcx_since = "6.6";

// Whether programs can be attached to tc by links (TCX); nullopt: CAP_NET_ADMIN is missing.
std::optional<bool> has_tcx();

} // namespace tcpwin
