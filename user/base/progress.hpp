// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tcpwin {

// A progress line, rewritten in place. Prints nothing if standard error is not a terminal.
class Progress {
public:
	explicit Progress(bool wanted);
	~Progress();
	Progress(const Progress &) = delete;
	Progress &operator=(const Progress &) = delete;

	// bytes: read so far of the current file. size: of that file in bytes, 0: unknown. frames: of all files so far.
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
