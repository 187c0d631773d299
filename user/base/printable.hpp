// SPDX-License-Identifier: Apache-2.0
// Text from outside, such as names of interfaces and files, may contain control characters, which a terminal would obey.
#pragma once

#include <string>
#include <string_view>

namespace tcpwin {

// Replaces bytes that are not printable ASCII with '?': a byte is a column.
std::string printable(std::string text);

// For messages: control characters, also 8-bit ones (C1), are written as in C, "\x1b"; kept are those in keep. Other
// UTF-8 stays readable.
std::string escape_controls(std::string_view text, std::string_view keep = {});

} // namespace tcpwin
