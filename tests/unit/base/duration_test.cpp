// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "base/duration.hpp"

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tcpwin::format_duration;
using tcpwin::parse_duration;
using testing::HasSubstr;

TEST(Duration, IsReadAsSystemdWritesIt)
{
	const std::pair<const char *, nanoseconds> table[] = {
		{"10s", 10s},        {"2.2s", 2200ms},    {"1ms", 1ms},
		{"1 ms", 1ms},       {".5s", 500ms},      {"5min 20s", 320s},
		{"1h30min", 90min},  {"100us", 100us},    {"100\u00b5s", 100us},
		{"7ns", 7ns},        {"1d", 24h},         {"2weeks", 336h},
		{"1m", 1min},        {" 3 seconds ", 3s}, {"1.000000001s", 1000000001ns},
		{"0.1ms", 100us},    {"1.5 h", 90min},    {"0s 1ms", 1ms},
		{"36500d", 876000h},
	};
	for (auto [text, expected] : table) {
		auto parsed = parse_duration(text);
		ASSERT_TRUE(parsed) << text << ": " << parsed.error();
		EXPECT_EQ(*parsed, expected) << text;
	}
}

TEST(Duration, ErrorsNameTheMistake)
{
	const std::pair<const char *, const char *> table[] = {
		{"", "empty"},
		{"  ", "empty"},
		{"10", "unit is missing"},
		{"5parsecs", "parsecs"},
		{"s", "number"},
		{"-1s", "number"},
		{"0s", "above 0"},
		{"36501d", "100 years"},
		{"1s 5", "unit is missing"},
		{"1.2.3s", "unit"},
		{"99999999999999999999999s", "100 years"},
		{"0.1ns", "above 0"},
	};
	for (auto [text, clause] : table) {
		auto parsed = parse_duration(text);
		ASSERT_FALSE(parsed) << text;
		EXPECT_THAT(parsed.error(), HasSubstr(clause)) << text;
	}
}

TEST(Duration, IsFormattedBriefly)
{
	EXPECT_EQ(format_duration(10s), "10s");
	EXPECT_EQ(format_duration(2200ms), "2.2s");
	EXPECT_EQ(format_duration(1ms), "1ms");
	EXPECT_EQ(format_duration(90s), "1min 30s");
	EXPECT_EQ(format_duration(0s), "0s");
}

TEST(Duration, FormattedTextIsParsedBack)
{
	for (nanoseconds d :
	     std::initializer_list<nanoseconds>{1ns, 999ns, 1001ns, 1500us, 2200000001ns, 90min, 876000h})
		EXPECT_EQ(parse_duration(format_duration(d)), d) << format_duration(d);
}
