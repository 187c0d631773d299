// SPDX-License-Identifier: Apache-2.0
// How flow records are written. A format only appends to a buffer; where the
// buffer goes is user/sinks/output.hpp.
#pragma once

#include <memory>

#include <fmt/format.h>

#include "record.hpp"

namespace tcpwin {

class FlowFormat {
public:
	virtual ~FlowFormat() = default;
	virtual void begin(fmt::memory_buffer &) const {}
	virtual void flow(const FlowRecord &record, fmt::memory_buffer &out) const = 0;
};

// One JSON object a line, "schema":1.
std::unique_ptr<FlowFormat> make_json_format();

// Tranalyzer2's text columns, one line a direction.
std::unique_ptr<FlowFormat> make_t2_format();

} // namespace tcpwin
