// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/privileges.hpp"

namespace tcpwin {

// Of all threads, for good: every system call but those of watching and of what the needs say fails with EPERM.
Result<void> drop_system_calls(const Needs &needs);

// The same but those of opening files and sending their descriptors.
Result<void> drop_system_calls_but_opening();

} // namespace tcpwin
