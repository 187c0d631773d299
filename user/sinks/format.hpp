// SPDX-License-Identifier: Apache-2.0
// How records are written. A format only appends to a buffer; where the
// buffer goes is user/sinks/output.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "record/record.hpp"
#include "record/stats.hpp"

namespace tcpwin {

class FlowFormat {
public:
	virtual ~FlowFormat() = default;
	virtual void begin(fmt::memory_buffer &) const {}
	virtual bool takes(const FlowRecord &) const { return true; }
	virtual void flow(const FlowRecord &record, fmt::memory_buffer &out) const = 0;
	// False: the format has nothing for it.
	virtual bool alarm(const AlarmRecord &, fmt::memory_buffer &) const { return false; }
	virtual void stats(const Stats &, fmt::memory_buffer &) const {}
};

class PacketFormat {
public:
	virtual ~PacketFormat() = default;
	virtual void begin(fmt::memory_buffer &) const {}
	virtual void packet(const PacketRecord &record, fmt::memory_buffer &out) const = 0;
};

enum class Format {
	json, // one object a line, "schema":1
	t2,   // Tranalyzer2's text columns; one line a direction of a flow
};

// community_id_seed: none for records without one; t2 never has it.
std::unique_ptr<FlowFormat> make_flow_format(Format format, std::optional<std::uint16_t> community_id_seed = 0);
std::unique_ptr<PacketFormat> make_packet_format(Format format);

} // namespace tcpwin
