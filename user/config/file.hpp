// SPDX-License-Identifier: Apache-2.0
// Settings in a file (--config): TOML, one key a setting.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "config/settings.hpp"

namespace tcpwin {

// Errors name the file, the line, what is wrong, and what would be right.
Result<SettingValues> read_config_file(const std::string &path);
// The same of a file that is open.
Result<SettingValues> read_config_file(int fd, const std::string &name);
Result<SettingValues> parse_config_file(std::string_view text, const std::string &name);

} // namespace tcpwin
