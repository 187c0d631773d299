// SPDX-License-Identifier: Apache-2.0
// The attach command: watches interfaces and writes flow records.
#pragma once

#include "agent/options.hpp"
#include "base/log.hpp"
#include "cli/parser.hpp"
#include "config/tracking.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

struct AttachOptions {
	SessionOptions session;
	TrackingOptions tracking;
	OutputOptions output;
	Verbosity verbosity = Verbosity::normal;
};

void define_attach(OptionList &list, AttachOptions &options);

// Watches until a signal, --duration or an error; then writes every remaining flow and detaches.
Result<Exit> attach(const AttachOptions &options);

} // namespace tcpwin
