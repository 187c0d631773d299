// SPDX-License-Identifier: Apache-2.0
// The part of check that is the same for all interfaces: the kernel and the user.
#pragma once

#include <optional>

#include "check/checklist.hpp"

namespace tcpwin {

// Returns whether the kernel has TCX; nullopt: this user may not query it.
std::optional<bool> check_machine(Checklist &list);

} // namespace tcpwin
