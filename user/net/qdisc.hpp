// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace tcpwin {

// The qdisc before which packets pass tc on their way in: "clsact", "ingress", or empty (none, or it cannot be known).
// An interface has one of the two.
std::string ingress_qdisc(unsigned ifindex);

} // namespace tcpwin
