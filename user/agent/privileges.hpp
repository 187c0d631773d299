// SPDX-License-Identifier: Apache-2.0
// Least privilege: once everything is attached and opened, the agent keeps only
// what reading records and detaching take.
#pragma once

#include <functional>

#include "base/error.hpp"

namespace tcpwin {

// Whom an agent of root becomes, and its group.
constexpr unsigned nobody = 65534;

// What is still to be done.
struct Needs {
	bool attach_more = false;       // to interfaces that come later
	bool detach_by_netlink = false; // clsact filters, at the end
	bool detach_links = false;      // that are pinned
	bool pin_more = false;          // in directories of this user, who is kept
};

// For good: capabilities, user and groups of root, and every system call that is not needed any
// more; what it refuses fails with EPERM. Files cannot be opened, threads and processes not started
// afterwards. still_works tries what the agent does with its programs and maps; kernels before 5.19
// want CAP_BPF for it. To be called while there is one thread: capabilities are each thread's own.
// Each of the three is given up by itself: an error tells the first that was not, and what is still
// to be done can be done nevertheless.
Result<void> drop_privileges(const Needs &needs, const std::function<bool()> &still_works);

// Of the process that opens files for the agent: user and groups stay, and the right to pass over permissions of files as
// far as it was there; system calls but those that this takes are refused.
Result<void> keep_privileges_to_open_files();

} // namespace tcpwin
