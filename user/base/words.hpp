// SPDX-License-Identifier: Apache-2.0
// Text for people: what a mistyped word probably meant, and lines of limited length.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tcpwin {

// The first of those candidates that differ least from word, or empty if all differ by more than two characters.
std::string_view closest_word(std::string_view word, std::span<const std::string_view> candidates);

// Breaks text at spaces into lines of at most width characters; a longer word stays whole. indent begins all lines but
// the first.
std::string wrap(std::string_view text, std::size_t width, std::string_view indent = "");

} // namespace tcpwin
