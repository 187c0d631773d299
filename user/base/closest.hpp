// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace tcpwin {

// The word that was probably meant: at most two characters differ. Empty: there is none.
std::string_view closest_word(std::string_view word, std::span<const std::string_view> words);

} // namespace tcpwin
