// SPDX-License-Identifier: Apache-2.0
// What the programs need of a kernel, and since which version Linux has it.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

namespace tcpwin {

struct KernelFeature {
	std::string_view name;
	std::string_view since; // Linux version
	bool (*present)();      // asks the running kernel; needs CAP_BPF
};

// The oldest feature that is missing, by asking `present`, which is KernelFeature::present but in tests.
std::optional<KernelFeature> find_missing_feature(
	const std::function<bool(const KernelFeature &)> &present = [](const KernelFeature &f) {
		return f.present();
	});

} // namespace tcpwin
