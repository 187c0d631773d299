// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_line.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

namespace tcpwin {
namespace {

bool is_plain(std::string_view text)
{
	return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

// All nine digits of nanoseconds below a second. Uses 32-bit arithmetic in two halves for speed: a flow record has a
// dozen of them.
char *put_fraction(char *at, std::int64_t nanoseconds)
{
	const auto all = static_cast<std::uint32_t>(nanoseconds);
	std::uint32_t upper = all / 100'000, lower = all % 100'000;
	for (int i = 3; i >= 0; i--, upper /= 10)
		at[i] = static_cast<char>('0' + upper % 10);
	for (int i = 8; i >= 4; i--, lower /= 10)
		at[i] = static_cast<char>('0' + lower % 10);
	return at + 9;
}

} // namespace

char *json::put_number(char *at, std::uint64_t number)
{
	return std::to_chars(at, at + 20, number).ptr;
}

char *json::put_number(char *at, std::int64_t number)
{
	return std::to_chars(at, at + 20, number).ptr;
}

char *json::put(char *at, std::chrono::nanoseconds duration)
{
	at = put(at, duration.count() / 1'000'000'000);
	*at++ = '.';
	return put_fraction(at, duration.count() % 1'000'000'000);
}

char *json::put(char *at, Rfc3339 value)
{
	const auto second = std::chrono::floor<std::chrono::seconds>(value.time);
	const std::string_view text = format_second(value.time);
	*at++ = '"';
	at = std::copy(text.begin(), text.end(), at);
	at = put_fraction(at, (value.time - second).count());
	return std::copy_n("Z\"", 2, at);
}

char *json::put(char *at, std::string_view text)
{
	if (is_plain(text))
		return put(at, Plain{text});
	const std::string escaped = nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
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
