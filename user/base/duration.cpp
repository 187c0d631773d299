// SPDX-License-Identifier: Apache-2.0
#include "base/duration.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

struct Unit {
	std::string_view name;
	std::int64_t nanoseconds;
};

constexpr std::int64_t second = 1'000'000'000;

// Largest first. Of equal units, format_duration writes the first.
constexpr std::array units{
	Unit{"w", 604'800 * second},
	Unit{"week", 604'800 * second},
	Unit{"weeks", 604'800 * second},
	Unit{"d", 86'400 * second},
	Unit{"day", 86'400 * second},
	Unit{"days", 86'400 * second},
	Unit{"h", 3'600 * second},
	Unit{"hr", 3'600 * second},
	Unit{"hour", 3'600 * second},
	Unit{"hours", 3'600 * second},
	Unit{"min", 60 * second},
	Unit{"m", 60 * second},
	Unit{"minute", 60 * second},
	Unit{"minutes", 60 * second},
	Unit{"s", second},
	Unit{"sec", second},
	Unit{"second", second},
	Unit{"seconds", second},
	Unit{"ms", 1'000'000},
	Unit{"msec", 1'000'000},
	Unit{"us", 1'000},
	Unit{"usec", 1'000},
	Unit{"\u00b5s", 1'000},
	Unit{"ns", 1},
	Unit{"nsec", 1},
};

constexpr std::int64_t longest = 100LL * 365 * 86'400 * second;

// Holds 100 years in nanoseconds times a fraction of 18 digits.
__extension__ using wide = __int128;

bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// Removes the leading characters of text that satisfy pass, and returns them.
template <typename Pass> std::string_view take(std::string_view &text, Pass pass)
{
	auto end = std::find_if_not(text.begin(), text.end(), pass);
	std::string_view taken = text.substr(0, static_cast<std::size_t>(end - text.begin()));
	text.remove_prefix(taken.size());
	return taken;
}

// The fraction of a unit in nanoseconds, rounded down. digits: those after the decimal point.
std::int64_t fraction(std::string_view digits, std::int64_t unit)
{
	wide numerator = 0, denominator = 1;
	for (char digit : digits.substr(0, 18)) {
		numerator = numerator * 10 + (digit - '0');
		denominator *= 10;
	}
	return static_cast<std::int64_t>(numerator * unit / denominator);
}

Result<std::int64_t, std::string> take_span(std::string_view &text)
{
	std::string_view whole = take(text, is_digit), part;
	if (!text.empty() && text.front() == '.') {
		text.remove_prefix(1);
		part = take(text, is_digit);
	}
	if (whole.empty() && part.empty())
		return tl::unexpected(std::string("a number is missing"));
	take(text, [](char c) { return c == ' '; });
	std::string_view name = take(text, [](char c) { return !is_digit(c) && c != ' ' && c != '.'; });
	if (name.empty())
		return tl::unexpected(std::string("the unit is missing (s, ms, us, ns, min, h, d)"));
	auto unit = std::find_if(units.begin(), units.end(), [&](const Unit &u) { return u.name == name; });
	if (unit == units.end())
		return tl::unexpected(fmt::format("'{}' is not a unit of time (s, ms, us, ns, min, h, d)", name));

	wide value = 0;
	for (char digit : whole.substr(0, 20))
		value = value * 10 + (digit - '0');
	value = value * unit->nanoseconds + fraction(part, unit->nanoseconds);
	if (value > longest || whole.size() > 20)
		return tl::unexpected(std::string("it is longer than 100 years"));
	return static_cast<std::int64_t>(value);
}

} // namespace

Result<nanoseconds, std::string> parse_duration(std::string_view text)
{
	const auto space = [](char c) { return c == ' '; };
	std::int64_t sum = 0;

	take(text, space);
	if (text.empty())
		return tl::unexpected(std::string("it is empty"));
	while (!text.empty()) {
		auto span = TRY(take_span(text));
		sum += span;
		if (sum > longest)
			return tl::unexpected(std::string("it is longer than 100 years"));
		take(text, space);
	}
	if (sum == 0)
		return tl::unexpected(std::string("it must be above 0"));
	return nanoseconds(sum);
}

std::string format_duration(nanoseconds duration)
{
	std::int64_t left = duration.count();
	std::string text;

	for (const Unit &unit : units) {
		if (unit.nanoseconds < second)
			break;
		if (unit.nanoseconds == second || left < unit.nanoseconds)
			continue;
		text += fmt::format("{}{}{}", text.empty() ? "" : " ", left / unit.nanoseconds, unit.name);
		left %= unit.nanoseconds;
	}
	if (left == 0)
		return text.empty() ? "0s" : text;
	const Unit small = left >= second    ? Unit{"s", second} :
			   left >= 1'000'000 ? Unit{"ms", 1'000'000} :
			   left >= 1'000     ? Unit{"us", 1'000} :
					       Unit{"ns", 1};
	std::string number = fmt::format("{}", left / small.nanoseconds);
	if (std::int64_t rest = left % small.nanoseconds) {
		int digits = small.nanoseconds == second ? 9 : small.nanoseconds == 1'000'000 ? 6 : 3;
		number += fmt::format(".{:0{}}", rest, digits);
		number.erase(number.find_last_not_of('0') + 1);
	}
	return text + (text.empty() ? "" : " ") + number + std::string(small.name);
}

} // namespace tcpwin
