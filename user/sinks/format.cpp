// SPDX-License-Identifier: Apache-2.0
#include "sinks/format.hpp"

#include "sinks/json.hpp"
#include "sinks/t2.hpp"

namespace tcpwin {

std::unique_ptr<FlowFormat> make_flow_format(Format format, std::optional<std::uint16_t> community_id_seed)
{
	return format == Format::json ? make_json_flow_format(community_id_seed) : make_t2_flow_format();
}

std::unique_ptr<PacketFormat> make_packet_format(Format format)
{
	return format == Format::json ? make_json_packet_format() : make_t2_packet_format();
}

} // namespace tcpwin
