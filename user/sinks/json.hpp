// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "record/status.hpp"
#include "sinks/format.hpp"

namespace tcpwin {

// community_id_seed: none for records without community_id.
std::unique_ptr<FlowFormat> make_json_flow_format(std::optional<std::uint16_t> community_id_seed);
std::unique_ptr<PacketFormat> make_json_packet_format();

// The following functions each append a whole line.

// A flow that has not ended, with the fields of a flow record. now: when it was read.
void put_live_flow(const FlowRecord &record, WallTime now, std::optional<std::uint16_t> community_id_seed,
		   fmt::memory_buffer &buffer);
void put_stats(const Stats &stats, fmt::memory_buffer &buffer);
void put_status(const Status &status, fmt::memory_buffer &buffer);
void put_summary(const Summary &summary, fmt::memory_buffer &buffer);

} // namespace tcpwin
