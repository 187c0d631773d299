// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "config/settings.hpp"
#include "explain/connections.hpp"
#include "explain/input.hpp"

namespace tcpwin {

struct CaptureOptions {
	SettingValues settings; // those that are not fixed: vlan-tracking
};

// Both add all that can be read, even if an error follows.
Result<void> read_records(const Input &input, Connections &connections);
Result<void> read_capture(const std::string &path, const CaptureOptions &options, Connections &connections);

} // namespace tcpwin
