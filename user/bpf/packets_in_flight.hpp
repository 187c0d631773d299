// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tcpwin {

// Returns when no packet is inside a program that was detached before the call, as synchronize_rcu() does.
void wait_for_packets_in_flight();

} // namespace tcpwin
