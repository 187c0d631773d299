// SPDX-License-Identifier: Apache-2.0
#include "base/printable.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace tcpwin {
namespace {

bool is_ascii(char c)
{
	return !(static_cast<unsigned char>(c) & 0x80);
}

bool is_control(char c)
{
	const auto byte = static_cast<unsigned char>(c);
	return byte < 0x20 || (byte >= 0x7f && byte < 0xa0);
}

} // namespace

std::string printable(std::string text)
{
	std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
	return text;
}

// Bytes of C1 also occur within UTF-8 characters, so the bytes of a run above ASCII stay or go together.
std::string escape_controls(std::string_view text, std::string_view keep)
{
	std::string escaped;
	for (auto at = text.begin(); at != text.end();) {
		const auto end = is_ascii(*at) ? at + 1 : std::find_if(at, text.end(), is_ascii);
		const std::string_view run(at, end);
		const bool is_kept = keep.find(run.front()) != std::string_view::npos;
		if (!is_kept && std::ranges::any_of(run, is_control))
			for (const char c : run)
				escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
		else
			escaped += run;
		at = end;
	}
	return escaped;
}

} // namespace tcpwin
