// SPDX-License-Identifier: Apache-2.0
// Settings in a file (--config): TOML, one key per setting.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "config/settings.hpp"

namespace tcpwin {

// Where settings come from.
struct SettingSources {
	std::string file;           // empty: none
	SettingValues command_line; // has precedence over the file
};

// Merges both. Errors concern the file.
Result<SettingValues> read_settings(const SettingSources &sources);

// Errors name the file, the line, what is wrong, and what would be right.
Result<SettingValues> read_config_file(const std::string &path);
// The same for a file that is open.
Result<SettingValues> read_config_file(int fd, const std::string &name);
Result<SettingValues> parse_config_file(std::string_view text, const std::string &name);

} // namespace tcpwin
