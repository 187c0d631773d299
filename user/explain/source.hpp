// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "explain/connections.hpp"
#include "explain/input.hpp"

namespace tcpwin {

// Both add all that can be read, even if an error follows.
Result<void> read_records(const Input &input, Connections &connections);
Result<void> read_capture(const std::string &path, Connections &connections);

} // namespace tcpwin
