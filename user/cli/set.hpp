// SPDX-License-Identifier: Apache-2.0
// The set command: changes the settings of running agents.
#pragma once

#include <string>
#include <vector>

#include "bpf/pins.hpp"
#include "cli/parser.hpp"
#include "config/file.hpp"

namespace tcpwin {

struct SetOptions {
	std::vector<std::string> interfaces; // none: all
	std::string bpffs = default_bpffs;
	SettingSources sources;
	SettingValues settings; // of the sources; none: print the current ones
};

void define_set(OptionList &list, SetOptions &options);

// Changes the settings of running agents, or prints them.
Result<Exit> set(const SetOptions &options);

} // namespace tcpwin
