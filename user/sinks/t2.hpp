// SPDX-License-Identifier: Apache-2.0
// Records as the text columns of Tranalyzer2.
#pragma once

#include <memory>

#include "sinks/format.hpp"

namespace tcpwin {

std::unique_ptr<FlowFormat> make_t2_flow_format();
std::unique_ptr<PacketFormat> make_t2_packet_format();

} // namespace tcpwin
