// SPDX-License-Identifier: Apache-2.0
// What XDP a driver says that it has, Linux 6.3 or later.
#pragma once

#include <cstdint>

#include "base/error.hpp"

namespace tcpwin {

// enum netdev_xdp_act of linux/netdev.h, which is younger than Debian 12.
constexpr std::uint64_t xdp_basic = 1;  // runs programs in the driver
constexpr std::uint64_t xdp_rx_sg = 32; // frames of several buffers, for programs that are ready for them

// Set bits: the above and others. Error: the kernel cannot tell.
Result<std::uint64_t> xdp_features(unsigned ifindex);

} // namespace tcpwin
