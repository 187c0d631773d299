// SPDX-License-Identifier: Apache-2.0
// What this kernel, this user and an interface allow, told without attaching
// anything, and whether `attach` would work.
#pragma once

#include <string>

#include "base/error.hpp"

namespace tcpwin {

struct CheckOptions {
	std::string interface; // empty: only kernel and user
};

// Writes to standard output. Exit::unsupported: attach in --mode auto would fail.
Result<Exit> check(const CheckOptions &options);

} // namespace tcpwin
