// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/privileges.hpp"

namespace tcpwin {

// Makes all system calls fail with EPERM, except those for watching and for needs. Permanent, for all threads.
Result<void> install_seccomp_filter(const Needs &needs);

// For the file helper: makes all system calls fail, except those for opening files and sending their descriptors.
Result<void> install_seccomp_filter_of_reopen_helper();

// For the cgroup helper: makes all system calls fail, except those for listing directories and for answering.
Result<void> install_seccomp_filter_of_cgroup_helper();

} // namespace tcpwin
