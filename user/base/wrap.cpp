// SPDX-License-Identifier: Apache-2.0
#include "base/wrap.hpp"

#include <sstream>

namespace tcpwin {

std::string wrap(std::string_view text, std::size_t width, std::string_view between)
{
	std::istringstream words{std::string(text)};
	std::string wrapped;
	std::size_t used = 0;
	for (std::string word; words >> word; used += word.size()) {
		if (used && used + 1 + word.size() > width) {
			wrapped += between;
			used = 0;
		} else if (used) {
			wrapped += ' ';
			used++;
		}
		wrapped += word;
	}
	return wrapped;
}

} // namespace tcpwin
