// SPDX-License-Identifier: Apache-2.0
// What FrameClock makes of the times of a capture. Times are in seconds; the limit is an hour.
#include <random>

#include <gmock/gmock.h>

#include "capture/frame_clock.hpp"

using namespace std::chrono_literals;
using namespace tcpwin;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr double hour = 3600, day = 86'400, year = 365 * day;
constexpr double start = 1'600'000'000;

std::uint64_t as_ns(double seconds)
{
	return static_cast<std::uint64_t>(seconds * 1000) * 1'000'000;
}

// Reads files of frames with these times. Each frame has one byte, its number, in a buffer that the next frame overwrites.
struct Read {
	explicit Read(std::uint64_t limit_ns = as_ns(hour)) : clock(limit_ns) {}

	Read &file(const std::vector<double> &times)
	{
		for (const double time : times) {
			buffer = static_cast<std::uint8_t>(++number);
			take(clock.add({.data = &buffer,
					.captured = 1,
					.wire = 1,
					.link = LinkType::ethernet,
					.time_ns = as_ns(time),
					.number = number}));
		}
		take(clock.end_file());
		return *this;
	}

	void take(std::span<const Frame> frames)
	{
		for (const Frame &frame : frames) {
			EXPECT_EQ(frame.number, times.size() + 1) << "the order stays";
			EXPECT_EQ(*frame.data, frame.number % 256) << "the data are those of the frame";
			times.push_back(static_cast<double>(frame.time_ns) / 1e9);
		}
	}

	FrameClock clock;
	std::uint64_t number = 0;
	std::uint8_t buffer = 0;
	std::vector<double> times;
};

} // namespace

TEST(FrameClock, GoodTimesAreNotChanged)
{
	Read read;
	read.file({start, start + 1, start + 0.5, start + 0.2, start + 1, start + hour});
	EXPECT_THAT(read.times, ElementsAre(start, start + 1, start + 0.5, start + 0.2, start + 1, start + hour));
	EXPECT_THAT(describe(read.clock.findings()), IsEmpty());
}

TEST(FrameClock, AGoodFrameIsPassedOnAtOnceWithoutACopy)
{
	FrameClock clock(as_ns(hour));
	const std::uint8_t byte = 0;
	Frame frame{&byte, 1, 1, LinkType::ethernet, as_ns(start), 1};
	EXPECT_THAT(clock.add(frame), IsEmpty()) << "the first frame waits for the second one";
	EXPECT_EQ(clock.add(frame).size(), 2U);
	const auto ready = clock.add(frame);
	ASSERT_EQ(ready.size(), 1U);
	EXPECT_EQ(ready[0].data, &byte);
}

TEST(FrameClock, OneWildTimeIsReplacedByTheTimeBefore)
{
	for (const double wild : {start + 80 * year, start + 2 * hour, start - 2 * hour, 0.0}) {
		Read read;
		read.file({start, start + 1, wild, start + 2, start + 3});
		EXPECT_THAT(read.times, ElementsAre(start, start + 1, start + 1, start + 2, start + 3)) << wild;
		EXPECT_EQ(read.clock.findings().wild_frames, 1U);
		EXPECT_EQ(read.clock.findings().steps_back, 0U);
	}
}

TEST(FrameClock, WildTimesInARowOfDifferentKindsAreReplaced)
{
	Read read;
	read.file({start, start + 1, start + 80 * year, start + 2, 0.0, start + 3, start + 50 * year, start + 4});
	EXPECT_THAT(read.times,
		    ElementsAre(start, start + 1, start + 1, start + 2, start + 2, start + 3, start + 3, start + 4));
	EXPECT_EQ(read.clock.findings().wild_frames, 3U);
}

TEST(FrameClock, AWildFirstTimeIsReplacedByThatOfTheSecondFrame)
{
	for (const double wild : {start + 80 * year, start + 2 * hour, 0.0}) {
		Read read;
		read.file({wild, start, start + 1});
		EXPECT_THAT(read.times, ElementsAre(start, start, start + 1)) << wild;
		EXPECT_EQ(read.clock.findings().wild_frames, 1U);
	}
}

TEST(FrameClock, AWildLastTimeIsReplacedIfItIsThirtyDaysAhead)
{
	Read wild, gap, back;
	wild.file({start, start + 1, start + 31 * day});
	EXPECT_THAT(wild.times, ElementsAre(start, start + 1, start + 1));
	EXPECT_EQ(wild.clock.findings().wild_frames, 1U);
	gap.file({start, start + 1, start + 29 * day});
	EXPECT_THAT(gap.times, ElementsAre(start, start + 1, start + 29 * day));
	back.file({start, start + 1, start - 2 * hour});
	EXPECT_THAT(back.times, ElementsAre(start, start + 1, start + 1));
}

TEST(FrameClock, GapsWithoutFramesStay)
{
	Read read;
	read.file({start, start + 2 * hour, start + 4 * hour, start + 5 * day, start + 5 * day + 1, start + year,
		   start + year});
	EXPECT_THAT(read.times, ElementsAre(start, start + 2 * hour, start + 4 * hour, start + 5 * day,
					    start + 5 * day + 1, start + year, start + year));
	EXPECT_THAT(describe(read.clock.findings()), IsEmpty());
}

TEST(FrameClock, AtAStepBackNoTimePassesAndLaterTimesAreShifted)
{
	Read read;
	read.file({start, start + 10, start + 11 - hour, start + 12 - hour, start + 20 - hour});
	EXPECT_THAT(read.times, ElementsAre(start, start + 10, start + 10, start + 11, start + 19));
	const ClockFindings found = read.clock.findings();
	EXPECT_EQ(found.steps_back, 1U);
	EXPECT_EQ(found.back, 3599s);
	EXPECT_EQ(found.first_step_ns, as_ns(start + 10));
	EXPECT_EQ(found.first_step_frame, 3U);
	EXPECT_EQ(describe(found), "set back once, by about 1h");
}

TEST(FrameClock, StepsBackAddUp)
{
	Read read;
	read.file({start, start + 1, start - 9, start - 8, start - 18, start - 17});
	EXPECT_THAT(read.times, ElementsAre(start, start + 1, start + 1, start + 2, start + 2, start + 3));
	EXPECT_EQ(describe(read.clock.findings()), "set back 2 times, by about 20s in all");
}

TEST(FrameClock, AClockThatIsSetForwardAgainIsTheOldOne)
{
	Read read;
	read.file({start, start + 10, start - 90, start - 89, start + 12, start + 13});
	EXPECT_THAT(read.times, ElementsAre(start, start + 10, start + 10, start + 11, start + 12, start + 13));
}

TEST(FrameClock, TwoClocksThatAlternateInventNoTime)
{
	Read read;
	std::vector<double> times;
	for (int i = 0; i < 1000; i++)
		times.push_back(start + i * 0.1 - (i / 3 % 2 ? 5 : 0));
	read.file(times);
	EXPECT_LT(read.times.back(), start + 110);
}

TEST(FrameClock, ASingleLateFrameIsNoStep)
{
	Read read;
	read.file({start, start + 10, start + 5, start + 11, start + 12});
	EXPECT_THAT(read.times, ElementsAre(start, start + 10, start + 5, start + 11, start + 12));
	EXPECT_THAT(describe(read.clock.findings()), IsEmpty());
}

TEST(FrameClock, WithoutALimitTimesAreTakenAsTheyAre)
{
	const std::vector<double> times{start, 0, start + 80 * year, start, start - hour, start - hour};
	Read read(0);
	read.file(times);
	EXPECT_EQ(read.times, times);
	EXPECT_THAT(describe(read.clock.findings()), IsEmpty());
}

TEST(FrameClock, ACaptureMayHaveNoTimes)
{
	Read none, one, two;
	none.file({0, 0, 0});
	EXPECT_TRUE(none.clock.findings().no_times);
	EXPECT_THAT(describe(none.clock.findings()), HasSubstr("no times"));
	EXPECT_FALSE(one.file({0}).clock.findings().no_times);
	EXPECT_FALSE(two.file({0, 0.001}).clock.findings().no_times);
}

TEST(FrameClock, ANextFileThatFollowsKeepsTheShift)
{
	Read read;
	read.file({start, start + 10, start - 90, start - 89}).file({start - 88, start - 87});
	EXPECT_THAT(read.times, ElementsAre(start, start + 10, start + 10, start + 11, start + 12, start + 13));
}

TEST(FrameClock, AnotherFileHasItsOwnTimes)
{
	Read read;
	read.file({start, start + 10, start - 90, start - 89}).file({start - year, start - year + 1});
	EXPECT_THAT(read.times, ElementsAre(start, start + 10, start + 10, start + 11, start - year, start - year + 1));
	EXPECT_EQ(read.clock.findings().steps_back, 1U);
}

TEST(FrameClock, FilesOfOneFrameAndOfNone)
{
	Read read;
	read.file({}).file({start}).file({}).file({start + 1}).file({start + 2 * year});
	EXPECT_THAT(read.times, ElementsAre(start, start + 1, start + 2 * year));
}

TEST(FrameClock, EachFrameIsPassedOnOnceAndInOrderWhateverTheTimes)
{
	std::mt19937 random(1);
	const double times[] = {0, 0.5, 1, 5, 10, hour, 2 * hour, 31 * day, year, 80 * year};
	for (int round = 0; round < 3000; round++) {
		Read read(random() % 8 ? as_ns(hour) : 0);
		for (auto files = random() % 3 + 1; files; files--) {
			std::vector<double> file(random() % 12);
			for (double &time : file)
				time = start + (random() % 2 ? 1 : -1) * times[random() % std::size(times)] / 2;
			read.file(file);
		}
		ASSERT_EQ(read.times.size(), read.number);
	}
}

TEST(FrameClock, SumsDoNotOverflow)
{
	constexpr double latest = 9e9;
	Read read;
	std::vector<double> times;
	for (int i = 0; i < 40; i++)
		times.insert(times.end(), {latest, latest, 0, 0});
	read.file(times);
	EXPECT_THAT(read.times, testing::Each(testing::Le(latest)));
	EXPECT_LE(read.clock.findings().back, 9'000'000'000s);
}
