// SPDX-License-Identifier: Apache-2.0
// Groups of options that several commands share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "cli/parser.hpp"
#include "config/file.hpp"
#include "config/tracking.hpp"
#include "live/source.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// The flows that a live view shows, and their order.
struct LiveSelection {
	LiveSource source;
	SortKey sort = SortKey::stalled;
	std::string filter; // part of an endpoint, or empty
};

// One setting, as an option of a command that has no others.
void add_setting(OptionList &list, SettingValues &values, std::string_view key);
void add_bpffs(OptionList &list, std::string &bpffs);
void add_verbosity(OptionList &list, Verbosity &verbosity, const std::string &more = "More messages on stderr");
void add_community_id(OptionList &list, std::optional<std::uint16_t> &seed);
void add_flow_output(OptionList &list, FlowOutputOptions &options);
void add_config_file(OptionList &list, std::string &file);
void add_max_flows(OptionList &list, std::uint32_t &max_flows);
void add_live_selection(OptionList &list, LiveSelection &selection);
// Everything about the records of attach and replay. After parsing, tracking has the settings of file and command line.
void add_recording(OptionList &list, OutputOptions &output, SettingSources &settings, TrackingOptions &tracking);

} // namespace tcpwin
