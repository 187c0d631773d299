// SPDX-License-Identifier: Apache-2.0
#include "base/words.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace tcpwin {
namespace {

// Number of characters to change, remove or insert (Levenshtein).
std::size_t distance(std::string_view left, std::string_view right)
{
	std::vector<std::size_t> row(right.size() + 1);
	std::iota(row.begin(), row.end(), std::size_t{0});
	for (std::size_t i = 0; i < left.size(); i++) {
		std::size_t diagonal = std::exchange(row[0], i + 1);
		for (std::size_t j = 0; j < right.size(); j++) {
			const std::size_t changed = diagonal + (left[i] != right[j]);
			diagonal = row[j + 1];
			row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
		}
	}
	return row.back();
}

} // namespace

std::string_view closest_word(std::string_view word, std::span<const std::string_view> candidates)
{
	std::string_view closest;
	std::size_t least = 3;
	for (const std::string_view candidate : candidates)
		if (const std::size_t differs = distance(word, candidate); differs < least) {
			least = differs;
			closest = candidate;
		}
	return closest;
}

std::string wrap(std::string_view text, std::size_t width, std::string_view indent)
{
	std::string wrapped;
	std::size_t column = 0;
	while (!text.empty()) {
		const std::string_view word = text.substr(0, text.find(' '));
		text.remove_prefix(std::min(word.size() + 1, text.size()));
		if (column != 0 && column + 1 + word.size() > width) {
			wrapped.append("\n").append(indent);
			column = indent.size();
		} else if (column != 0) {
			wrapped += ' ';
			column++;
		}
		wrapped += word;
		column += word.size();
	}
	return wrapped;
}

} // namespace tcpwin
