// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_line.hpp"

#include <nlohmann/json.hpp>

namespace tcpwin {
namespace {

bool is_plain(std::string_view text)
{
	return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

} // namespace

char *json::put(char *at, std::string_view text)
{
	if (is_plain(text))
		return put(at, Plain{text});
	const std::string escaped = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
	return std::copy(escaped.begin(), escaped.end(), at);
}

void JsonLine::grow(std::size_t bytes)
{
	const auto used = static_cast<std::size_t>(at_ - buffer_.data());
	buffer_.resize(used);
	buffer_.reserve(used + std::max(bytes, usual_line));
	at_ = buffer_.data() + used;
	end_ = buffer_.data() + buffer_.capacity();
}

} // namespace tcpwin
