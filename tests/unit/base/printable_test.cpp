// SPDX-License-Identifier: Apache-2.0
// No control character reaches a terminal.
#include <gmock/gmock.h>

#include "base/printable.hpp"

using namespace tcpwin;

TEST(Printable, AnyByteBecomesOneColumnOfAscii)
{
	for (int byte = 0; byte < 256; byte++) {
		const std::string text = printable(std::string(1, static_cast<char>(byte)));
		ASSERT_EQ(text.size(), 1U);
		EXPECT_TRUE(text[0] >= ' ' && text[0] <= '~') << byte;
	}
}

TEST(EscapeControls, NoControlCharacterIsLeft)
{
	for (int first = 0; first < 256; first++)
		for (int second = 0; second < 256; second++)
			for (const char c :
			     escape_controls(std::string{static_cast<char>(first), static_cast<char>(second), 'x'})) {
				const auto byte = static_cast<unsigned char>(c);
				EXPECT_TRUE((byte >= 0x20 && byte < 0x7f) || byte >= 0xa0) << first << " " << second;
			}
}

TEST(EscapeControls, OtherTextStays)
{
	EXPECT_EQ(escape_controls("cannot open caf\xc3\xa9: why; what"), "cannot open caf\xc3\xa9: why; what");
	EXPECT_EQ(escape_controls("a\x1b[31mb\nc\x7f"), "a\\x1b[31mb\\x0ac\\x7f");
	EXPECT_EQ(escape_controls("\xc2\x9b"
				  "31m"),
		  "\\xc2\\x9b31m")
		<< "the 8-bit form of the escape sequence";
	EXPECT_EQ(escape_controls("a\nb\x1b", "\n"), "a\nb\\x1b");
}
