// SPDX-License-Identifier: Apache-2.0
#include "base/words.hpp"

#include <gtest/gtest.h>

using namespace tcpwin;

TEST(Words, TheClosestIsAtMostTwoCharactersAway)
{
	constexpr std::string_view words[] = {"output", "format", "packets"};
	EXPECT_EQ(closest_word("ouput", words), "output");
	EXPECT_EQ(closest_word("pakcets", words), "packets");
	EXPECT_EQ(closest_word("formatted", words), "");
	EXPECT_EQ(closest_word("", words), "");
	EXPECT_EQ(closest_word("output", {}), "");
}

TEST(Words, LinesAreBrokenAtSpaces)
{
	EXPECT_EQ(wrap("", 10), "");
	EXPECT_EQ(wrap("one two", 7), "one two");
	EXPECT_EQ(wrap("one two", 6), "one\ntwo");
	EXPECT_EQ(wrap("a longest word", 4, "  "), "a\n  longest\n  word");
}
