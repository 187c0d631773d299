// SPDX-License-Identifier: Apache-2.0
// The XDP features that a driver announces, Linux 6.3 or later.
#pragma once

#include <cstdint>

#include "base/error.hpp"

namespace tcpwin {

// enum netdev_xdp_act of linux/netdev.h, which Linux 6.3 introduced; Debian 12's headers are from 6.1.
constexpr std::uint64_t xdp_basic = 1;  // NETDEV_XDP_ACT_BASIC: runs programs in the driver
constexpr std::uint64_t xdp_rx_sg = 32; // NETDEV_XDP_ACT_RX_SG: frames of several buffers, for xdp.frags programs

// A bit mask of the above and others. Error: the kernel does not report them.
Result<std::uint64_t> xdp_features(unsigned ifindex);

} // namespace tcpwin
