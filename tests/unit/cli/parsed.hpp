// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/parser.hpp"

// Parses the command line "tcpwin-agent WORDS".
inline auto parse_words(std::span<const tcpwin::Command> commands, const std::vector<std::string> &words)
{
	std::vector<const char *> pointers{"tcpwin-agent"};
	for (const std::string &word : words)
		pointers.push_back(word.c_str());
	return tcpwin::parse_command_line(commands, static_cast<int>(pointers.size()), pointers.data());
}

// Parses "tcpwin-agent command WORDS" into the options that define() declares.
template <typename Options>
tcpwin::Result<Options> parse_options(void (*define)(tcpwin::OptionList &, Options &), std::vector<std::string> words)
{
	using namespace tcpwin;
	Options options;
	const Command command{"command", "", [&](OptionList &list) -> Run {
				      define(list, options);
				      return {};
			      }};
	words.insert(words.begin(), "command");
	TRY(parse_words({&command, 1}, words));
	return options;
}
