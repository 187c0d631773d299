// SPDX-License-Identifier: Apache-2.0
// The command line as one passive value.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tcpwin/types.h>

#include "bpf/xdp_link.hpp"
#include "error.hpp"

namespace tcpwin {

enum class Format { json, t2 };
enum class Verbosity { quiet, normal, verbose };

struct AttachOptions {
	std::vector<std::string> interfaces;
	XdpMode mode = XdpMode::automatic;
	std::string output = "-";
	Format format = Format::json;
	std::optional<std::chrono::nanoseconds> duration;
	std::chrono::nanoseconds poll_interval = std::chrono::milliseconds(100);
	std::uint32_t max_flows = 262'144;
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	Verbosity verbosity = Verbosity::normal;
};

// What --help and --version print; nothing else is to be done.
struct Information {
	std::string text;
};

Result<std::variant<AttachOptions, Information>> parse_options(int argc, const char *const *argv);

} // namespace tcpwin
