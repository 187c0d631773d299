// SPDX-License-Identifier: Apache-2.0
// A line of JSON on its way into a buffer.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "record/record.hpp"

namespace tcpwin {

inline constexpr std::size_t longest_line =
	4096; // some 3,000 bytes, and an interface name of which each byte is escaped

// One line, written into space that was made for it at once: a check of the space for each of some sixty pieces, as
// fmt has it, took twice as long.
class Line {
public:
	explicit Line(fmt::memory_buffer &buffer) : buffer_(buffer)
	{
		const std::size_t start = buffer.size();
		buffer.resize(start + longest_line);
		at_ = buffer.data() + start;
	}
	~Line() { buffer_.resize(static_cast<std::size_t>(at_ - buffer_.data())); }
	Line(const Line &) = delete;
	Line &operator=(const Line &) = delete;

	Line &operator<<(std::string_view text)
	{
		at_ = std::copy(text.begin(), text.end(), at_);
		return *this;
	}
	Line &operator<<(std::integral auto number)
	{
		at_ = std::to_chars(at_, at_ + 20, number).ptr;
		return *this;
	}
	Line &operator<<(char) = delete;
	// All nine digits of nanoseconds below a second.
	Line &fraction(std::int64_t nanoseconds)
	{
		for (int i = 8; i >= 0; i--, nanoseconds /= 10)
			at_[i] = static_cast<char>('0' + nanoseconds % 10);
		at_ += 9;
		return *this;
	}
	Line &operator<<(std::chrono::nanoseconds duration)
	{
		return (*this << duration.count() / 1'000'000'000 << ".").fraction(duration.count() % 1'000'000'000);
	}
	Line &operator<<(WallTime time)
	{
		const auto second = std::chrono::floor<std::chrono::seconds>(time);
		return (*this << "\"" << format_second(time)).fraction((time - second).count()) << "Z\"";
	}
	// A byte as "0x1f".
	Line &hexadecimal(std::uint8_t byte)
	{
		constexpr std::string_view digits = "0123456789abcdef";
		return *this << "\"0x" << digits.substr(byte >> 4, 1) << digits.substr(byte & 15, 1) << "\"";
	}

private:
	fmt::memory_buffer &buffer_;
	char *at_;
};

} // namespace tcpwin
