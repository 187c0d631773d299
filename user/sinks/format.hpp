// SPDX-License-Identifier: Apache-2.0
// Formats of records. A format only appends to a buffer; user/sinks/output.hpp writes the buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "record/record.hpp"
#include "record/stats.hpp"
#include "record/unanswered.hpp"

namespace tcpwin {

class FlowFormat {
public:
	virtual ~FlowFormat() = default;
	virtual void begin(fmt::memory_buffer &) const {}
	virtual bool takes(const FlowRecord &) const { return true; }
	virtual void flow(const FlowRecord &record, fmt::memory_buffer &out) const = 0;
	// False: the format has no alarms; syn_flood likewise.
	virtual bool alarm(const AlarmRecord &, fmt::memory_buffer &) const { return false; }
	virtual bool syn_flood(const SynFloodAlarm &, fmt::memory_buffer &) const { return false; }
	virtual void unanswered(const UnansweredRecord &, fmt::memory_buffer &) const {}
	virtual void stats(const Stats &, fmt::memory_buffer &) const {}
};

class PacketFormat {
public:
	virtual ~PacketFormat() = default;
	virtual void begin(fmt::memory_buffer &) const {}
	virtual void packet(const PacketRecord &record, fmt::memory_buffer &out) const = 0;
};

enum class Format {
	json, // one object per line, "schema":1
	t2,   // Tranalyzer2's text columns; one line per direction of a flow
};

// community_id_seed: none for records without community_id; t2 never has it.
std::unique_ptr<FlowFormat> make_flow_format(Format format, std::optional<std::uint16_t> community_id_seed = 0);
std::unique_ptr<PacketFormat> make_packet_format(Format format);

} // namespace tcpwin
