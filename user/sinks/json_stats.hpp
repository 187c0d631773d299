// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include "record/stats.hpp"

namespace tcpwin {

// A whole line.
void put_stats(const Stats &stats, fmt::memory_buffer &buffer);

} // namespace tcpwin
