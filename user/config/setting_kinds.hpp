// SPDX-License-Identifier: Apache-2.0
// The kinds of settings: how a value is parsed and written, and where it is kept. Only for the table in settings.cpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/duration.hpp"
#include "config/settings.hpp"

namespace tcpwin::setting_kinds {

inline constexpr std::string_view none = "none";
inline constexpr std::uint64_t second = 1'000'000'000;

struct Choice {
	std::string_view name;
	std::uint8_t value;
};
// "it must be abort, terminate or count"
template <typename T> tl::unexpected<std::string> must_be_one_of(const T &choices)
{
	std::string text = "it must be ";
	for (std::size_t left = std::size(choices); const auto &choice : choices) {
		left--;
		text += fmt::format("{}{}", choice.name, left > 1 ? ", " : left == 1 ? " or " : "");
	}
	return tl::unexpected(std::move(text));
}

template <typename T>
ParsedSetting parse_number(T &target, std::string_view text, std::uint64_t least, std::uint64_t most)
{
	std::uint64_t number = 0;
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
	if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
		return tl::unexpected(fmt::format("it must be a number from {} to {}", least, most));
	target = static_cast<T>(number);
	return {};
}

inline ParsedSetting parse_nanoseconds(__u64 &target, std::string_view text)
{
	target = static_cast<__u64>(TRY(parse_duration(text)).count());
	return {};
}

// "1min30s": without spaces, so that KEY=VALUE is one word.
inline std::string format_nanoseconds(std::uint64_t value)
{
	std::string text = format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(value)));
	std::erase(text, ' ');
	return text;
}

inline std::string format_or_none(std::uint64_t value)
{
	return value ? format_nanoseconds(value) : std::string(none);
}

inline void set_rule(tcpwin_config &config, tcpwin_rule rule, bool on)
{
	config.rules = static_cast<__u8>(on ? config.rules | rule : config.rules & ~rule);
}

// A field is a pointer to a member or a function that returns a reference.

template <tcpwin_timeout timeout> struct Timeout {
	constexpr auto &operator()(auto &config) const { return config.timeout_ns[timeout]; }
};

constexpr std::uint64_t largest_number = std::numeric_limits<__u32>::max();

template <auto field, std::uint64_t least, std::uint64_t most = largest_number>
constexpr SettingKind number{
	"N",
	[](tcpwin_config &config, std::string_view text) {
		return parse_number(std::invoke(field, config), text, least, most);
	},
	[](const tcpwin_config &config) { return fmt::format("{}", std::invoke(field, config)); },
};

template <auto field>
constexpr SettingKind number_or_none{
	"N|none",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		auto &target = std::invoke(field, config);
		target = 0;
		if (text == none)
			return {};
		auto parsed = parse_number(target, text, 1, largest_number);
		return parsed ? ParsedSetting() : tl::unexpected(parsed.error() + ", or none");
	},
	[](const tcpwin_config &config) {
		const auto value = std::invoke(field, config);
		return value ? fmt::format("{}", value) : std::string(none);
	},
};

template <auto field>
constexpr SettingKind duration{
	"DURATION",
	[](tcpwin_config &config, std::string_view text) {
		return parse_nanoseconds(std::invoke(field, config), text);
	},
	[](const tcpwin_config &config) { return format_nanoseconds(std::invoke(field, config)); },
};

// most_ns: the longest duration; 0: any.
template <auto field, __u64 most_ns = 0>
constexpr SettingKind duration_or_none{
	"DURATION|none",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		__u64 value = 0;
		if (text != none)
			TRY(parse_nanoseconds(value, text));
		if (most_ns && value > most_ns)
			return tl::unexpected(fmt::format("it must be at most {}", format_nanoseconds(most_ns)));
		std::invoke(field, config) = value;
		return {};
	},
	[](const tcpwin_config &config) { return format_or_none(std::invoke(field, config)); },
};

// none switches the rule off.
template <auto field, tcpwin_rule rule>
constexpr SettingKind duration_of_rule{
	"DURATION|none",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		if (text != none)
			TRY(parse_nanoseconds(std::invoke(field, config), text));
		set_rule(config, rule, text != none);
		return {};
	},
	[](const tcpwin_config &config) {
		return config.rules & rule ? format_nanoseconds(std::invoke(field, config)) : std::string(none);
	},
};

// Stored in seconds.
template <auto field>
constexpr SettingKind seconds_or_none{
	"DURATION|none",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		__u64 duration = 0;
		if (text != none)
			TRY(parse_nanoseconds(duration, text));
		if (duration % second)
			return tl::unexpected(std::string("it must be in whole seconds"));
		std::invoke(field, config) = static_cast<__u32>(duration / second);
		return {};
	},
	[](const tcpwin_config &config) { return format_or_none(std::invoke(field, config) * second); },
};

// on: the state of the rule for "yes".
template <tcpwin_rule rule, bool on = true>
constexpr SettingKind yes_or_no{
	"yes|no",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		if (text != "yes" && text != "no")
			return tl::unexpected(std::string("it must be yes or no"));
		set_rule(config, rule, (text == "yes") == on);
		return {};
	},
	[](const tcpwin_config &config) {
		return std::string(static_cast<bool>(config.rules & rule) == on ? "yes" : "no");
	},
};

// names: of the rule's states off and on.
template <tcpwin_rule rule, const auto &names, const std::string_view &type>
constexpr SettingKind rule_choice{
	type,
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		if (text != names[0] && text != names[1])
			return tl::unexpected(fmt::format("it must be {} or {}", names[0], names[1]));
		set_rule(config, rule, text == names[1]);
		return {};
	},
	[](const tcpwin_config &config) { return std::string(names[config.rules & rule ? 1 : 0]); },
};

template <auto field>
constexpr SettingKind percent{
	"PERCENT",
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		if (text.ends_with('%'))
			text.remove_suffix(1);
		auto parsed = parse_number(std::invoke(field, config), text, 1, 100);
		return parsed ? ParsedSetting() : tl::unexpected(std::string("it must be from 1% to 100%"));
	},
	[](const tcpwin_config &config) { return fmt::format("{}%", std::invoke(field, config)); },
};

template <auto field, const auto &choices, const std::string_view &type>
constexpr SettingKind choice{
	type,
	[](tcpwin_config &config, std::string_view text) -> ParsedSetting {
		const auto found = std::ranges::find(choices, text, &Choice::name);
		if (found == std::end(choices))
			return must_be_one_of(choices);
		std::invoke(field, config) = found->value;
		return {};
	},
	[](const tcpwin_config &config) {
		const auto found = std::ranges::find(choices, std::invoke(field, config), &Choice::value);
		return std::string(found == std::end(choices) ? "?" : found->name);
	},
};

} // namespace tcpwin::setting_kinds
