// SPDX-License-Identifier: Apache-2.0
// A line of JSON: an object that is written into a buffer, member by member.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "record/names.hpp"
#include "record/record.hpp"

namespace tcpwin {

// Values whose format does not follow from their type alone.
struct Plain { // a string that needs no escaping: an address or a name of ours
	std::string_view text;
};
struct Rfc3339 {
	WallTime time;
};
struct Hexadecimal { // "0x1f"
	std::uint8_t byte;
};
template <std::size_t n> struct BitNames { // the names of the bits that are set, as an array
	std::uint8_t bits;
	const BitName (&names)[n];
};

// For each type of value: put() writes it and returns its end; size_bound() is at least what put() writes.
namespace json {

inline char *put(char *at, std::nullptr_t)
{
	return std::copy_n("null", 4, at);
}
constexpr std::size_t size_bound(std::nullptr_t)
{
	return 4;
}

inline char *put(char *at, std::same_as<bool> auto value)
{
	return value ? std::copy_n("true", 4, at) : std::copy_n("false", 5, at);
}
constexpr std::size_t size_bound(std::same_as<bool> auto)
{
	return 5;
}

template <typename T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>;

// Neither these nor times are inline: a record has some sixty of them, whose code would not fit into the instruction
// cache (4 % slower).
char *put_number(char *at, std::uint64_t number);
char *put_number(char *at, std::int64_t number);

inline char *put(char *at, Integer auto number)
{
	if (number >= 0 && number <= 9) {
		*at++ = static_cast<char>('0' + number);
		return at;
	}
	if constexpr (std::is_signed_v<decltype(number)>)
		return put_number(at, static_cast<std::int64_t>(number));
	else
		return put_number(at, static_cast<std::uint64_t>(number));
}
constexpr std::size_t size_bound(Integer auto)
{
	return 20; // the digits of 2^64, or those of 2^63 and a sign
}

inline char *put(char *at, Plain plain)
{
	*at++ = '"';
	at = std::copy(plain.text.begin(), plain.text.end(), at);
	*at++ = '"';
	return at;
}
constexpr std::size_t size_bound(Plain plain)
{
	return plain.text.size() + 2;
}

// Accepts any bytes: invalid UTF-8 is replaced by U+FFFD.
char *put(char *at, std::string_view text);
constexpr std::size_t size_bound(std::string_view text)
{
	return 6 * text.size() + 2; // \u0000 for each byte
}

inline char *put(char *at, Hexadecimal value)
{
	constexpr std::string_view digits = "0123456789abcdef";
	at = std::copy_n("\"0x", 3, at);
	*at++ = digits[value.byte >> 4];
	*at++ = digits[value.byte & 15];
	*at++ = '"';
	return at;
}
constexpr std::size_t size_bound(Hexadecimal)
{
	return 6;
}

// Seconds.
char *put(char *at, std::chrono::nanoseconds duration);
constexpr std::size_t size_bound(std::chrono::nanoseconds)
{
	return 20 + 1 + 9;
}

// Nanoseconds since 1970.
inline char *put(char *at, WallTime time)
{
	return put(at, time.time_since_epoch().count());
}
constexpr std::size_t size_bound(WallTime)
{
	return 20;
}

char *put(char *at, Rfc3339 value);
constexpr std::size_t size_bound(Rfc3339)
{
	return sizeof("\"2262-04-11T23:47:16.854775807Z\""); // nanoseconds in 64 bits reach from 1677 to 2262
}

constexpr std::size_t longest_bit_name = 13;

template <std::size_t n> char *put(char *at, BitNames<n> set)
{
	*at++ = '[';
	for (const BitName &bit : set.names)
		if (set.bits & bit.bit) {
			at = put(at, Plain{bit.name});
			*at++ = ',';
		}
	at -= at[-1] == ',';
	*at++ = ']';
	return at;
}
template <std::size_t n> constexpr std::size_t size_bound(BitNames<n>)
{
	return 2 + n * (longest_bit_name + 3);
}

// The elements of a range, as an array.
template <typename Range> char *put_array(char *at, const Range &range)
{
	*at++ = '[';
	for (const auto &one : range) {
		at = put(at, one);
		*at++ = ',';
	}
	at -= at[-1] == ',';
	*at++ = ']';
	return at;
}

inline char *put(char *at, const VlanIds &ids)
{
	return put_array(at, ids);
}
constexpr std::size_t size_bound(const VlanIds &)
{
	return 2 + VlanIds::most * 6; // 65535 and a comma
}

template <typename T> char *put(char *at, const std::vector<T> &values)
{
	return put_array(at, values);
}
template <typename T> constexpr std::size_t size_bound(const std::vector<T> &values)
{
	std::size_t bound = 2;
	for (const T &value : values)
		bound += size_bound(value) + 1;
	return bound;
}

inline char *put(char *at, StallEnd end)
{
	return put(at, Plain{end});
}
constexpr std::size_t size_bound(StallEnd end)
{
	return size_bound(Plain{end});
}

inline char *put(char *at, WindowScale scale)
{
	return !scale.is_known ? put(at, nullptr) : scale.shift ? put(at, *scale.shift) : put(at, Plain{"none"});
}
constexpr std::size_t size_bound(WindowScale)
{
	return size_bound(Plain{"none"});
}

inline char *put(char *at, WindowBytes window)
{
	return put(at, window.bytes);
}
constexpr std::size_t size_bound(WindowBytes window)
{
	return size_bound(window.bytes);
}

template <typename T> char *put(char *at, const std::optional<T> &value)
{
	return value ? put(at, *value) : put(at, nullptr);
}
template <typename T> constexpr std::size_t size_bound(const std::optional<T> &value)
{
	return std::max(size_bound(value.value_or(T{})), size_bound(nullptr)); // a constant for most types
}

} // namespace json

// A name known at compile time, with its quotes and colon: "name":
template <std::size_t n> struct MemberName {
	char text[n + 2];

	consteval MemberName(const char (&name)[n])
	{
		text[0] = '"';
		std::copy_n(name, n - 1, text + 1);
		text[n] = '"';
		text[n + 1] = ':';
	}
};

// The free space is checked once per member. A check for each piece, as in fmt, took twice as long. Every value is
// followed by a comma, which the end of its object or array overwrites.
class JsonLine {
public:
	JsonLine(fmt::memory_buffer &buffer, std::string_view event)
		: buffer_(buffer), at_(buffer.data() + buffer.size()), end_(buffer.data() + buffer.capacity())
	{
		make_room(usual_line);
		open();
		member<"schema">(1);
		member<"event">(Plain{event});
	}
	~JsonLine()
	{
		close();
		at_[-1] = '\n';
		buffer_.resize(static_cast<std::size_t>(at_ - buffer_.data()));
	}
	JsonLine(const JsonLine &) = delete;
	JsonLine &operator=(const JsonLine &) = delete;

	// name: without characters that need escaping.
	template <MemberName name, typename T> void member(const T &value)
	{
		make_room(sizeof(name.text) + json::size_bound(value) + 1);
		char *at = json::put(std::copy_n(name.text, sizeof(name.text), at_), value);
		*at++ = ',';
		at_ = at;
	}
	// The same for a name from a table.
	template <typename T> void member(std::string_view name, const T &value)
	{
		make_room(name.size() + 3 + json::size_bound(value) + 1);
		char *at = json::put(put_name(name), value);
		*at++ = ',';
		at_ = at;
	}
	template <typename T> void element(const T &value)
	{
		make_room(1 + json::size_bound(value));
		at_ = json::put(at_, value);
		*at_++ = ',';
	}

	// An object or array as a member, or as an element of an array. Each ends with close() or close_array().
	void open(std::string_view name) { begin(name, '{'); }
	void open_array(std::string_view name) { begin(name, '['); }
	void open()
	{
		make_room(1);
		*at_++ = '{';
	}
	void close() { end('}'); }
	void close_array() { end(']'); }

private:
	static constexpr std::size_t usual_line = 4096; // a flow has about 2,000 bytes

	void make_room(std::size_t bytes)
	{
		if (static_cast<std::size_t>(end_ - at_) < bytes) [[unlikely]]
			grow(bytes);
	}
	void grow(std::size_t bytes);
	char *put_name(std::string_view name)
	{
		char *at = at_;
		*at++ = '"';
		at = std::copy(name.begin(), name.end(), at);
		*at++ = '"';
		*at++ = ':';
		return at;
	}
	void begin(std::string_view name, char bracket)
	{
		make_room(name.size() + 4);
		at_ = put_name(name);
		*at_++ = bracket;
	}
	void end(char bracket)
	{
		make_room(2);
		at_ -= at_[-1] == ',';
		*at_++ = bracket;
		*at_++ = ',';
	}

	fmt::memory_buffer &buffer_;
	char *at_;
	char *end_; // of the free space
};

static_assert([] {
	const auto fits = [](const auto &names) {
		return std::ranges::all_of(
			names, [](const BitName &bit) { return bit.name.size() <= json::longest_bit_name; });
	};
	return fits(flag_names) && fits(hook_names) && fits(alarm_names);
}());

} // namespace tcpwin
