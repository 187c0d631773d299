// SPDX-License-Identifier: Apache-2.0
// The command line as one passive value.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tcpwin/types.h>

#include "bpf/hook.hpp"
#include "bpf/pins.hpp"
#include "cli/check.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/explain.hpp"
#include "live/source.hpp"
#include "config/settings.hpp"
#include "sinks/format.hpp"

namespace tcpwin {

// What attach and replay have in common.
struct CommonOptions {
	std::string output = "-";
	std::string packets; // file for packet records, or empty
	bool append = false; // go on with files that exist
	Format format = Format::json;
	std::optional<std::uint16_t> community_id_seed = 0; // none: records without community_id
	std::uint32_t max_flows = 262'144;
	std::string config_file;                      // of settings, or empty
	SettingValues settings;                       // on the command line
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG; // what comes of both
	bool analyze_stalls = true;
	bool alarms_only = false; // no records of flows that raised none
	Verbosity verbosity = Verbosity::normal;
};

enum class Directions { both, ingress, egress };

struct AttachOptions : CommonOptions {
	std::vector<std::string> interfaces;
	Directions directions = Directions::both;
	bool per_interface = false; // flows of each interface apart
	bool persistent = false;    // what is attached outlives the agent
	std::string bpffs = default_bpffs;
	IngressMode mode = IngressMode::automatic;
	TcHook tc_hook = TcHook::automatic;
	std::optional<std::chrono::nanoseconds> duration;
	std::optional<std::chrono::nanoseconds> stats_interval; // none: no stats
	std::chrono::nanoseconds poll_interval = std::chrono::milliseconds(100);

	// All that are up, as they come and go.
	bool any() const { return std::find(interfaces.begin(), interfaces.end(), "any") != interfaces.end(); }
};

struct StatusOptions {
	std::vector<std::string> interfaces; // none: all
	std::string bpffs = default_bpffs;
	bool json = false;
};

struct SetOptions {
	std::vector<std::string> interfaces; // none: all
	std::string bpffs = default_bpffs;
	SettingValues settings; // none: tells those that hold
};

struct DetachOptions : CommonOptions {
	std::vector<std::string> interfaces; // none: all
	std::string bpffs = default_bpffs;
};

struct FlowsOptions {
	LiveSource source;
	SortKey sort = SortKey::stalled;
	std::string filter;               // part of an endpoint, or empty
	std::optional<std::size_t> limit; // none: all
	bool json = false;
	std::optional<std::uint16_t> community_id_seed = 0; // none: without community_id
};

struct TopOptions {
	LiveSource source;
	SortKey sort = SortKey::stalled;
	std::string filter;
	std::chrono::nanoseconds interval = std::chrono::seconds(1);
};

enum class EngineKind { portable, kernel };

struct ReplayOptions : CommonOptions {
	std::vector<std::string> files;
	EngineKind engine = EngineKind::portable;
	std::string filter;
};

// What --help and --version print; nothing else is to be done.
struct Information {
	std::string text;
};

using Command = std::variant<AttachOptions, DetachOptions, StatusOptions, SetOptions, ReplayOptions, ExplainOptions,
			     CheckOptions, FlowsOptions, TopOptions, Information>;

Result<Command> parse_options(int argc, const char *const *argv);

} // namespace tcpwin
