// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tcpwin {

// One line on a terminal, rewritten in place; nothing elsewhere.
class Progress {
public:
	explicit Progress(bool wanted);
	~Progress();
	Progress(const Progress &) = delete;
	Progress &operator=(const Progress &) = delete;

	// bytes of size (0: unknown) of the file name are done, frames in all.
	void show(const std::string &name, std::uint64_t bytes, std::uint64_t size, std::uint64_t frames);
	void clear();

private:
	using Clock = std::chrono::steady_clock;

	const bool on_;
	const Clock::time_point start_ = Clock::now();
	Clock::time_point file_start_ = start_;
	Clock::time_point next_ = start_ + std::chrono::milliseconds(500);
	std::string name_;
	bool shown_ = false;
};

} // namespace tcpwin
