// SPDX-License-Identifier: Apache-2.0
// The check command: shows whether attach would work.
#pragma once

#include <string>

#include "cli/parser.hpp"

namespace tcpwin {

struct CheckOptions {
	std::string interface; // empty: only kernel and user
};

void define_check(OptionList &list, CheckOptions &options);

// Writes to standard output what this kernel, this user and an interface allow, without attaching anything, and whether
// `attach` would work. Exit::unsupported: attach in --mode auto would fail.
Result<Exit> check(const CheckOptions &options);

} // namespace tcpwin
