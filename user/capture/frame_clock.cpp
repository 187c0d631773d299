// SPDX-License-Identifier: Apache-2.0
#include "capture/frame_clock.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/duration.hpp"

namespace tcpwin {
namespace {

constexpr std::uint64_t far_ns = 30 * 86'400'000'000'000ULL;      // from a single neighbour
constexpr std::uint64_t latest_ns = 9'000'000'000'000'000'000ULL; // as of CaptureReader: any timeout may be added

} // namespace

void FrameClock::hold(const Frame &frame)
{
	Held &held = held_.emplace_back(Held{frame, {frame.data, frame.data + frame.captured}});
	held.frame.data = held.data.data();
}

void FrameClock::pass_at(Frame frame, std::uint64_t time_ns)
{
	frame.time_ns = std::min(time_ns, latest_ns);
	ready_.push_back(frame);
}

void FrameClock::pass_late(const Frame &frame)
{
	pass_at(frame, frame.time_ns + shift_ns_);
}

// Frames that come at once after a step do not end the shift: their time proves nothing.
void FrameClock::pass(const Frame &frame)
{
	const bool jumped = in_file_ && frame.time_ns > last_ns_ + late_ns;
	if (shift_ns_ && jumped && frame.time_ns + late_ns >= last_ns_ + shift_ns_)
		shift_ns_ = 0;
	pass_late(frame);
	last_ns_ = frame.time_ns;
	has_last_ = in_file_ = true;
}

void FrameClock::pass_or_hold(const Frame &frame)
{
	if (is_near(last_ns_, frame.time_ns))
		pass(frame);
	else
		hold(frame);
}

// No time passes between the frame before and this one.
void FrameClock::step_back(const Frame &frame)
{
	const std::uint64_t step = last_ns_ - frame.time_ns;
	if (!found_.steps_back++) {
		found_.first_step_ns = std::min(last_ns_ + shift_ns_, latest_ns);
		found_.first_step_frame = frame.number;
	}
	shift_ns_ = std::min(shift_ns_ + step, latest_ns);
	found_.back =
		std::chrono::nanoseconds(std::min(static_cast<std::uint64_t>(found_.back.count()) + step, latest_ns));
	last_ns_ = frame.time_ns;
	pass_late(frame);
}

// held: not near the frame before. next_ns: time of the next frame.
void FrameClock::settle(const Frame &held, std::uint64_t next_ns)
{
	const bool ahead = held.time_ns > last_ns_;
	if (ahead && next_ns + late_ns >= held.time_ns) {
		pass(held);
	} else if (!ahead && next_ns + late_ns < last_ns_) {
		step_back(held);
	} else if (!ahead && last_ns_ - held.time_ns <= max_jump_ns_) {
		pass_late(held);
	} else {
		found_.wild_frames++;
		pass_at(held, last_ns_ + shift_ns_);
	}
}

void FrameClock::settle_last(const Frame &held)
{
	const bool ahead = held.time_ns > last_ns_;
	if (ahead ? held.time_ns - last_ns_ > far_ns : last_ns_ - held.time_ns > max_jump_ns_) {
		found_.wild_frames++;
		pass_at(held, last_ns_ + shift_ns_);
	} else {
		pass_late(held);
	}
}

// Whether the second frame and the next one agree, and the first one does not.
bool FrameClock::is_first_wild(std::uint64_t next_ns) const
{
	const std::uint64_t first = held_[0].frame.time_ns, second = held_[1].frame.time_ns;
	const bool far = first > second ? first - second > max_jump_ns_ : second - first > far_ns;
	return far && is_near(second, next_ns) && !is_near(first, next_ns);
}

// The first frame of the file is held.
std::span<const Frame> FrameClock::add_to_first(const Frame &frame)
{
	if (held_.size() == 1 && !is_near(held_[0].frame.time_ns, frame.time_ns)) {
		hold(frame);
		return {};
	}
	const bool wild = held_.size() == 2 && is_first_wild(frame.time_ns);
	settled_.swap(held_);
	if (wild) {
		found_.wild_frames++;
		pass_at(settled_[0].frame, settled_[1].frame.time_ns);
		pass(settled_[1].frame);
	} else {
		pass(settled_[0].frame);
		if (settled_.size() == 2)
			settle(settled_[1].frame, frame.time_ns);
	}
	pass_or_hold(frame);
	return ready_;
}

std::span<const Frame> FrameClock::add_slowly(const Frame &frame)
{
	ready_.clear();
	settled_.clear();
	if (!in_file_ && held_.empty()) {
		if (!max_jump_ns_ || (has_last_ && is_near(last_ns_, frame.time_ns))) {
			pass(frame);
			return ready_;
		}
		shift_ns_ = 0;
		hold(frame);
		return {};
	}
	if (!in_file_)
		return add_to_first(frame);
	settled_.swap(held_);
	if (!settled_.empty())
		settle(settled_[0].frame, frame.time_ns);
	pass_or_hold(frame);
	return ready_;
}

std::span<const Frame> FrameClock::end_file()
{
	ready_.clear();
	settled_.clear();
	settled_.swap(held_);
	for (const Held &held : settled_)
		if (in_file_)
			settle_last(held.frame);
		else
			pass(held.frame);
	in_file_ = false;
	return ready_;
}

ClockFindings FrameClock::findings() const
{
	ClockFindings found = found_;
	found.no_times = frames_ > 1 && all_equal_;
	return found;
}

std::chrono::nanoseconds ClockFindings::about_back() const
{
	std::int64_t unit = 1;
	while (back.count() / unit >= 1000)
		unit *= 10;
	return std::chrono::nanoseconds((back.count() + unit / 2) / unit * unit);
}

std::string describe(const ClockFindings &found)
{
	if (found.no_times)
		return "no times, all frames have the same";
	std::string text;
	if (found.steps_back)
		text = fmt::format("set back {}, by about {}{}",
				   found.steps_back == 1 ? "once" : fmt::format("{} times", found.steps_back),
				   format_duration(found.about_back()), found.steps_back == 1 ? "" : " in all");
	if (found.wild_frames)
		text += fmt::format("{}{} wild {}, replaced by the time of the frame before", text.empty() ? "" : "; ",
				    found.wild_frames, found.wild_frames == 1 ? "time" : "times");
	return text;
}

} // namespace tcpwin
