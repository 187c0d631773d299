// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tcpwin {

// The words of the text in lines of at most this width, where words permit it. Each line but the first begins after
// `between`.
std::string wrap(std::string_view text, std::size_t width, std::string_view between = "\n");

} // namespace tcpwin
