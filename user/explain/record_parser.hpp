// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

#include "explain/parsed.hpp"

namespace tcpwin {

// Reads the lines that user/sinks/json.cpp writes.
class RecordParser {
public:
	RecordParser();
	~RecordParser();

	// The flow record of a line; nothing if the line is another event of tcpwin-agent. Error: a clause that says
	// what is wrong with the line.
	Result<std::optional<ParsedFlow>, std::string> parse(std::string_view line);
	// What the last line, which was not a flow record, says of a flood.
	const ParsedFlood &flood() const { return flood_; }
	// The event of the last line that was not a flow record.
	const std::string &other_event() const { return other_event_; }

private:
	struct State;
	std::unique_ptr<State> state_;
	std::string other_event_;
	ParsedFlood flood_;
};

} // namespace tcpwin
