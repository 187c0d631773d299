// SPDX-License-Identifier: Apache-2.0
// The part of check that is the same for all interfaces: kernel and user.
#pragma once

#include <optional>

#include "check/checklist.hpp"

namespace tcpwin {

// Returns whether the kernel has TCX, if this user may ask.
std::optional<bool> check_machine(Checklist &list);

} // namespace tcpwin
