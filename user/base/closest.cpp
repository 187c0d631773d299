// SPDX-License-Identifier: Apache-2.0
#include "base/closest.hpp"

#include <algorithm>
#include <cstddef>
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

std::string_view closest_word(std::string_view word, std::span<const std::string_view> words)
{
	std::string_view closest;
	std::size_t least = 3;
	for (const std::string_view one : words)
		if (const std::size_t changes = distance(word, one); changes < least) {
			least = changes;
			closest = one;
		}
	return closest;
}

} // namespace tcpwin
