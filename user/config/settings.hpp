// SPDX-License-Identifier: Apache-2.0
// The settings of timeouts, state machine and alarms. One table serves the options, the file and `set`: a new setting is
// a field of tcpwin_config and a row of the table.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <tcpwin/types.h>

#include "base/error.hpp"

namespace tcpwin {

using ParsedSetting = Result<void, std::string>; // error: a clause that says what is wrong with the value

// How the value of a setting is written, and where it is in the configuration.
struct SettingKind {
	std::string_view type; // for a help text: "DURATION|none"
	ParsedSetting (*set)(tcpwin_config &config, std::string_view value);
	std::string (*get)(const tcpwin_config &config);
};

struct Setting {
	std::string_view key; // the option's name without dashes
	SettingKind kind;
	std::string_view example;
	std::string_view text; // one line for help texts

	std::string_view type() const { return kind.type; }
	ParsedSetting set(tcpwin_config &config, std::string_view value) const { return kind.set(config, value); }
	// In the form that set() accepts.
	std::string get(const tcpwin_config &config) const { return kind.get(config); }
};

std::span<const Setting> all_settings();
const Setting *find_setting(std::string_view key);

// The profile sets all fields of tcpwin_config; the other settings override it.
inline constexpr std::string_view profile_key = "profile";
inline constexpr std::string_view default_profile = "tutorial"; // TCPWIN_DEFAULT_CONFIG
inline constexpr std::string_view profile_text =
	"Base settings: the constants of the tutorial, or values for operation (monitor)";
inline constexpr std::string_view profile_type = "tutorial|monitor";

// By key, which may be profile_key. Only values that check_setting has passed.
using SettingValues = std::map<std::string, std::string, std::less<>>;

// Error: the value is wrong, or there is no such key.
ParsedSetting check_setting(std::string_view key, std::string_view value);
// The key that was probably meant ("timeout-est" for "timeout-es"), or empty.
std::string_view closest_key(std::string_view key);

// The union of both; stronger takes precedence.
SettingValues merge_settings(SettingValues weaker, const SettingValues &stronger);
// Applies the values to their profile, or to base if they name no profile.
tcpwin_config apply_settings(const SettingValues &values, const tcpwin_config &base = TCPWIN_DEFAULT_CONFIG);

} // namespace tcpwin
