// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "explain/connections.hpp"
#include "explain/input.hpp"

namespace tcpwin {

// Each adds all that it can read, also where it then fails.
Result<void> read_records(const Input &input, Connections &connections);
Result<void> read_capture(const std::string &path, Connections &connections);

} // namespace tcpwin
