// SPDX-License-Identifier: Apache-2.0
// The results of check, one line each, and the first obstacle to attaching.
#pragma once

#include <string>
#include <string_view>
#include <utility>

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

	// reason: why attach would fail, and what to do about it. Only the first one is kept.
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
