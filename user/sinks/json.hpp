// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "sinks/format.hpp"

namespace tcpwin {

// community_id_seed: none for records without one.
std::unique_ptr<FlowFormat> make_json_flow_format(std::optional<std::uint16_t> community_id_seed);
// Of a flow that has not ended: a line of its own, with the fields of a flow record.
void put_live_flow(const FlowRecord &record, WallTime now, std::optional<std::uint16_t> community_id_seed,
		   fmt::memory_buffer &buffer);
std::unique_ptr<PacketFormat> make_json_packet_format();

} // namespace tcpwin
