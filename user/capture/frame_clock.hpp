// SPDX-License-Identifier: Apache-2.0
// Corrects the times of a capture. Clocks are set while a capture runs, some frames have a wild time, some captures have
// no times at all; one such frame would end all flows, or make durations of years or of nothing.
//
// A frame that is more than the limit after the frame before, or more than a second earlier, is held until the next one
// shows what happened:
// - The next one agrees with the frames before: only this time was wrong. If it is off by more than the limit, the frame
//   gets the time of the frame before; a frame that is merely late keeps its own.
// - The next one agrees with the held frame, or is farther ahead: a gap without frames. Times stay as they are.
// - The next one is earlier as well: the clock was set back. From there on, times are shifted so that no time passes at
//   the step. The shift ends when the clock is back at the time that it would have had without the step.
// The first and the last frame of a file have one neighbour only, and are wrong if they are 30 days away from it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "capture/frame.hpp"

namespace tcpwin {

struct ClockFindings {
	std::uint64_t steps_back = 0;
	std::chrono::nanoseconds back{0};   // sum of the steps
	std::uint64_t first_step_ns = 0;    // time of the frame before the first step, since 1970
	std::uint64_t first_step_frame = 0; // number of the first frame after it
	std::uint64_t wild_frames = 0;      // their times were replaced
	bool no_times = false;              // there are several frames, and all have the same time

	// back, to three digits: how much time passed at the steps is not known.
	std::chrono::nanoseconds about_back() const;
};

class FrameClock {
public:
	// max_jump_ns: the limit; 0: times are taken as they are.
	explicit FrameClock(std::uint64_t max_jump_ns) : max_jump_ns_(max_jump_ns) {}

	// The frames that can be processed now, in their order, with corrected times; mostly the given one. They are
	// valid until the next call, as the given frame and its data must be.
	std::span<const Frame> add(const Frame &frame)
	{
		frames_++;
		first_time_ns_ = frames_ == 1 ? frame.time_ns : first_time_ns_;
		all_equal_ = all_equal_ && frame.time_ns == first_time_ns_;
		if (in_file_ && held_.empty() && !shift_ns_ && is_near(last_ns_, frame.time_ns)) [[likely]] {
			last_ns_ = frame.time_ns;
			return {&frame, 1};
		}
		return add_slowly(frame);
	}

	// At the end of each file, also if it cannot be read to its end: the frames that were held. The next file
	// continues this one if its first time follows the last one within the limit.
	std::span<const Frame> end_file();

	ClockFindings findings() const;

private:
	struct Held {
		Frame frame;
		std::vector<std::uint8_t> data;
	};

	// Whether a frame at time_ns may follow one at before_ns.
	bool is_near(std::uint64_t before_ns, std::uint64_t time_ns) const
	{
		return !max_jump_ns_ || time_ns + late_ns - before_ns <= max_jump_ns_ + late_ns; // wraps
	}
	std::span<const Frame> add_slowly(const Frame &frame);
	std::span<const Frame> add_to_first(const Frame &frame);
	bool is_first_wild(std::uint64_t next_ns) const;
	void settle(const Frame &held, std::uint64_t next_ns);
	void settle_last(const Frame &held);
	void hold(const Frame &frame);
	void pass_or_hold(const Frame &frame);
	void pass(const Frame &frame);
	void pass_late(const Frame &frame);
	void pass_at(Frame frame, std::uint64_t time_ns);
	void step_back(const Frame &frame);

	static constexpr std::uint64_t late_ns = 1'000'000'000;

	std::uint64_t max_jump_ns_;
	bool has_last_ = false;      // last_ns_ is known, maybe of the file before
	bool in_file_ = false;       // last_ns_ is of this file
	std::uint64_t last_ns_ = 0;  // of the frame before, uncorrected
	std::uint64_t shift_ns_ = 0; // added to times
	std::vector<Held> held_;     // until the next frame is read; two if the first frame of the file is among them
	std::vector<Held> settled_;  // has the data of ready_
	std::vector<Frame> ready_;
	ClockFindings found_;
	std::uint64_t frames_ = 0;
	std::uint64_t first_time_ns_ = 0;
	bool all_equal_ = true;
};

// A clause for reports, "set back once, by 1h"; empty if nothing was found.
std::string describe(const ClockFindings &found);

} // namespace tcpwin
