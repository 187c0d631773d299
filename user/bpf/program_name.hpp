// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace tcpwin {

// The name of the loaded program with this id; empty: it was unloaded, or CAP_SYS_ADMIN is missing.
std::string program_name(unsigned id);

// Whether a program of this name is one of a tcpwin-agent.
inline bool is_ours(std::string_view program_name)
{
	return program_name.starts_with("tcpwin_");
}

} // namespace tcpwin
