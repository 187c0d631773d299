// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "cli/parser.hpp"

namespace tcpwin {

// In the order of the help text.
std::span<const Command> all_commands();

} // namespace tcpwin
