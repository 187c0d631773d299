// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tcpwin {

// After this no packet is inside a program that was detached before: synchronize_rcu().
void wait_for_packets_in_flight();

} // namespace tcpwin
