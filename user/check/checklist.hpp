// SPDX-License-Identifier: Apache-2.0
// What was found, one line each, and the first thing that stands in the way.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace tcpwin {

enum class Answer { yes, no, unknown };

constexpr Answer yes_or_no(bool yes)
{
	return yes ? Answer::yes : Answer::no;
}

class Checklist {
public:
	void add(std::string_view name, Answer answer, std::string_view text)
	{
		constexpr std::string_view answers[] = {"yes", "no", "?"};
		text_ += fmt::format("{:22} {:4} {}\n", name, answers[static_cast<int>(answer)], text);
	}

	// Attach would fail for this reason; what to do goes with it. The first one counts.
	void obstruct(std::string reason)
	{
		if (obstacle_.empty())
			obstacle_ = std::move(reason);
	}

	const std::string &text() const { return text_; }
	const std::string &obstacle() const { return obstacle_; }

private:
	std::string text_;
	std::string obstacle_;
};

} // namespace tcpwin
