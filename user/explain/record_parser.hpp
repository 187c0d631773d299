// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

#include "explain/told.hpp"

namespace tcpwin {

// Reads what user/sinks/json.cpp writes.
class RecordParser {
public:
	RecordParser();
	~RecordParser();

	// The flow record of a line; nothing if it is another event of ours. The error is a
	// clause that says what is wrong with the line.
	Result<std::optional<ToldFlow>, std::string> parse(std::string_view line);

private:
	struct State;
	std::unique_ptr<State> state_;
};

} // namespace tcpwin
