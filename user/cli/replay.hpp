// SPDX-License-Identifier: Apache-2.0
// The replay command: tracks the flows of captures.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "cli/parser.hpp"
#include "config/file.hpp"
#include "config/tracking.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

enum class EngineKind { portable, kernel };

struct ReplayOptions {
	std::vector<std::string> files; // - for standard input
	std::string filter;             // of pcap-filter(7), or empty
	EngineKind engine = EngineKind::portable;
	TrackingOptions tracking;
	SettingSources settings;
	OutputOptions output;
	Verbosity verbosity = Verbosity::normal;
};

void define_replay(OptionList &list, ReplayOptions &options);

// Reads captures and writes the records that attach would have written, had the frames arrived at their recorded times.
// Frames read before an error are included.
Result<Exit> replay(const ReplayOptions &options);

} // namespace tcpwin
