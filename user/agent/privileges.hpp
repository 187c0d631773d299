// SPDX-License-Identifier: Apache-2.0
// Least privilege: once everything is attached and opened, the agent keeps only the
// privileges for reading records and for detaching.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "base/nobody.hpp"

namespace tcpwin {

// What the agent still has to do.
struct Needs {
	bool attach_more = false;    // to interfaces that appear later
	bool attach_again = false;   // what other software detaches
	bool change_filters = false; // of clsact: remove them at exit, attach them again
	bool detach_links = false;   // pinned ones
	bool attribute = false;      // find the processes of sockets
	std::string pin_below =
		{}; // this directory of the bpffs, which the user owns, so the user is kept; empty: nowhere
};

// Permanently drops capabilities, root's user and groups, access to files by path (Landlock, where the kernel has it) and
// every system call that is no longer needed; those fail with EPERM. Afterwards no file can be opened, and no thread or
// process started. still_works exercises the agent's programs and maps; kernels before 5.19 require CAP_BPF for it. Call
// this while the process has one thread, because capabilities are per thread. Each is dropped independently; the error
// names the first that could not be dropped, and the agent keeps working.
Result<void> drop_privileges(const Needs &needs, const std::function<bool()> &still_works);

// For the file helper. It keeps its user, its groups and, if it had it, CAP_DAC_OVERRIDE; system calls that it does not
// need fail.
Result<void> drop_privileges_of_reopen_helper();

// For the cgroup helper. It becomes nobody without capabilities, and can only list the directories below mount.
Result<void> drop_privileges_of_cgroup_helper(const std::string &mount);

} // namespace tcpwin
