// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/privileges.hpp"

namespace tcpwin {

// For all threads, permanently: system calls fail with EPERM, except those for watching and for the needs.
Result<void> install_seccomp_filter(const Needs &needs);

// The same, except those for opening files and sending their descriptors.
Result<void> install_seccomp_filter_of_reopen_helper();

} // namespace tcpwin
