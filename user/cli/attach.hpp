// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "cli/options.hpp"

namespace tcpwin {

// Watches until a signal, --duration or an error; then writes every remaining flow and detaches.
Result<void> attach(const AttachOptions &options);

} // namespace tcpwin
