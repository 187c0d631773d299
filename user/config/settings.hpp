// SPDX-License-Identifier: Apache-2.0
// What can be set of timeouts, state machine and alarms: as options, in a file, and of an agent that runs. One table.
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

struct Setting {
	std::string_view key;  // the option's name without its dashes
	std::string_view type; // of the value, for a help text
	std::string_view text; // what it is for
	std::string_view example;
	ParsedSetting (*set)(tcpwin_config &config, std::string_view value);
	std::string (*get)(const tcpwin_config &config); // what set() takes
};

std::span<const Setting> all_settings();
const Setting *find_setting(std::string_view key);

// What all other settings differ from; no setting of tcpwin_config itself.
inline constexpr std::string_view profile_key = "profile";
inline constexpr std::string_view profile_text =
	"Settings to begin with: the constants of the tutorial, or those for operation";
inline constexpr std::string_view profile_type = "tutorial|monitor";

// By key, profile_key too. Only values that check_setting has passed.
using SettingValues = std::map<std::string, std::string, std::less<>>;

// Error: the value is wrong, or there is no such key.
ParsedSetting check_setting(std::string_view key, std::string_view value);
// "timeout-est", if that is what "timeout-es" was to be; else empty.
std::string_view closest_key(std::string_view key);

// Both, where they have the same key that of stronger.
SettingValues merge_settings(SettingValues weaker, const SettingValues &stronger);
// The values on top of their profile, or else of base.
tcpwin_config apply_settings(const SettingValues &values, const tcpwin_config &base = TCPWIN_DEFAULT_CONFIG);

} // namespace tcpwin
