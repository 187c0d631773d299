// SPDX-License-Identifier: Apache-2.0
// The JSON writer: what it escapes, and that it never writes beyond its buffer.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "sinks/json_line.hpp"

using namespace tcpwin;

namespace {

template <typename Write> std::string line_of(const Write &write)
{
	fmt::memory_buffer out;
	{
		JsonLine line(out, "test");
		write(line);
	}
	return fmt::to_string(out);
}

// The bound of a number, a time or bits is at least the length written.
template <typename T> void expect_bound(const T &value)
{
	char text[100];
	EXPECT_LE(static_cast<std::size_t>(json::put(text, value) - text), json::size_bound(value));
}

} // namespace

TEST(JsonLine, ObjectsAndArraysNest)
{
	EXPECT_EQ(
		line_of([](JsonLine &line) {
			line.open("object");
			line.member<"number">(-7);
			line.open("empty");
			line.close();
			line.close();
			line.open_array("array");
			line.open();
			line.member("name", Plain{"x"});
			line.close();
			line.close_array();
			line.open_array("nothing");
			line.close_array();
			line.member<"yes">(true);
			line.member<"null">(std::optional<int>());
		}),
		"{\"schema\":1,\"event\":\"test\",\"object\":{\"number\":-7,\"empty\":{}},\"array\":[{\"name\":\"x\"}],"
		"\"nothing\":[],\"yes\":true,\"null\":null}\n");
}

TEST(JsonLine, EachByteOfATextIsEscapedOrReplaced)
{
	for (int byte = 0; byte < 256; byte++) {
		const std::string text(16, static_cast<char>(byte));
		const std::string line = line_of([&](JsonLine &out) { out.member<"text">(std::string_view(text)); });
		const auto parsed = nlohmann::json::parse(line)["text"].get<std::string>();
		if (byte < 128) {
			EXPECT_EQ(parsed, text);
		} else {
			EXPECT_THAT(parsed, testing::StartsWith("\xef\xbf\xbd")) << byte;
		}
	}
}

TEST(JsonLine, ALongLineGrowsItsBuffer)
{
	const std::string text(100'000, '\x01');
	const auto line = nlohmann::json::parse(line_of([&](JsonLine &out) {
		for (int i = 0; i < 1000; i++)
			out.member(std::to_string(i), i);
		out.member<"text">(std::string_view(text));
		out.member<"last">(1);
	}));
	EXPECT_EQ(line["text"], text);
	EXPECT_EQ(line["999"], 999);
	EXPECT_EQ(line["last"], 1);
}

TEST(JsonLine, BoundsHoldForTheLongestValues)
{
	using namespace std::chrono;
	expect_bound(INT64_MIN);
	expect_bound(UINT64_MAX);
	expect_bound(false);
	expect_bound(nanoseconds::max());
	expect_bound(WallTime::max());
	expect_bound(Rfc3339{WallTime::max()});
	expect_bound(Hexadecimal{0xff});
	expect_bound(BitNames{0xff, flag_names});
	expect_bound(BitNames{0xff, hook_names});
	expect_bound(BitNames{0xff, alarm_names});
	expect_bound(std::optional<std::uint64_t>());
	expect_bound(WindowScale{true, {}});
	expect_bound(WindowScale{false, {}});
}
