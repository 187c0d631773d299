// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace tcpwin {

// The name of the loaded program with this id; empty: it is gone, or CAP_SYS_ADMIN is missing.
std::string program_name(unsigned id);

} // namespace tcpwin
