// SPDX-License-Identifier: Apache-2.0
// Landlock: which files this process and its threads can still reach, whoever it runs as.
#pragma once

#include <string>

#include "base/error.hpp"

namespace tcpwin {

// Linux 5.13 has it; the boot parameter lsm= may switch it off.
bool has_landlock();

enum class FileAccess {
	list,   // entries of directories
	change, // also create, rename and remove entries
};

// Permanently limits access by path to this directory and those below it; empty: no access at all. Open descriptors keep
// working. It needs no_new_privs or CAP_SYS_ADMIN. Error: there is no Landlock, or no such directory.
Result<void> restrict_files(const std::string &directory, FileAccess access);

} // namespace tcpwin
