// SPDX-License-Identifier: Apache-2.0
// Reading captures: every format and link type gives the same frames or flows. If a
// file is damaged, the frames before the damage are read and one sentence says where
// and what it is.
#include <fcntl.h>
#include <random>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include "replay/link_types.hpp"
#include "replay/outcome.hpp"

namespace tcpwin::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Lt;
using ::testing::StartsWith;

const std::string tutorial = capture("tutorial/tutorial.pcap");

// The tutorial's frames at times that need nanoseconds.
Frames odd_frames()
{
	Frames frames = frames_of(tutorial);
	for (std::size_t i = 0; i < frames.size(); i++)
		frames[i].time_ns += i * 7 + 1;
	frames[3].wire = 9000;
	return frames;
}

Frames rounded(Frames frames, std::uint64_t nanoseconds)
{
	for (TimedFrame &frame : frames)
		frame.time_ns -= frame.time_ns % nanoseconds;
	return frames;
}

// As a reader returns them: wire is always set.
Frames with_wire(Frames frames)
{
	for (TimedFrame &frame : frames)
		frame.wire = frame.wire_length();
	return frames;
}

class Reader : public ::testing::Test {
protected:
	ReadOut read(const Bytes &file) { return read_out(path(file)); }
	std::string path(const Bytes &file) { return directory.write("capture", file); }

	TemporaryDirectory directory;
};

// ---- formats ----

TEST_F(Reader, PcapInBothResolutionsAndByteOrders)
{
	const Frames frames = with_wire(odd_frames());
	for (const std::endian order : {std::endian::little, std::endian::big}) {
		const ReadOut fine = read(pcap_file(frames, {.order = order, .nanoseconds = true}));
		EXPECT_EQ(fine.error, "");
		EXPECT_TRUE(fine.frames == frames);
		const ReadOut coarse = read(pcap_file(frames, {.order = order, .nanoseconds = false}));
		EXPECT_EQ(coarse.error, "");
		EXPECT_TRUE(coarse.frames == rounded(frames, 1000));
	}
}

TEST_F(Reader, PcapngInBothByteOrdersAndAnyResolution)
{
	const Frames frames = with_wire(odd_frames());
	for (const std::endian order : {std::endian::little, std::endian::big}) {
		EXPECT_TRUE(read(pcapng_file(frames, {.order = order, .tsresol = 9})).frames == frames);
		EXPECT_TRUE(read(pcapng_file(frames, {.order = order, .tsresol = 6})).frames == rounded(frames, 1000));
		EXPECT_TRUE(read(pcapng_file(frames, {.order = order, .tsresol = 3})).frames ==
			    rounded(frames, 1'000'000));
		EXPECT_TRUE(read(pcapng_file(frames, {.order = order, .tsresol = 0})).frames ==
			    rounded(frames, 1'000'000'000));
	}
}

// In units of 2^-30 s: each time is early by at most one unit.
TEST_F(Reader, PcapngWithABinaryResolution)
{
	const Frames frames = odd_frames();
	const ReadOut binary = read(pcapng_file(frames, {.tsresol = 0x80 | 30}));
	ASSERT_EQ(binary.frames.size(), frames.size());
	for (std::size_t i = 0; i < frames.size(); i++) {
		EXPECT_LE(binary.frames[i].time_ns, frames[i].time_ns);
		EXPECT_GE(binary.frames[i].time_ns + 2, frames[i].time_ns);
	}
}

TEST_F(Reader, FramesAreNumberedFromOne)
{
	const ReadOut out = read(pcap_file(Frames(3, odd_frames()[0])));
	EXPECT_THAT(out.numbers, ElementsAre(1, 2, 3));
}

// ---- compression ----

struct Compression {
	std::string name;
	int (*add)(archive *);
};

const std::vector<Compression> compressions{
	{"gzip", archive_write_add_filter_gzip}, {"zstd", archive_write_add_filter_zstd},
	{"xz", archive_write_add_filter_xz},     {"bzip2", archive_write_add_filter_bzip2},
	{"lz4", archive_write_add_filter_lz4},
};

Bytes compress(const Compression &compression, const Bytes &content)
{
	Bytes out(content.size() * 2 + 65536);
	std::size_t used = 0;
	archive *writer = archive_write_new();
	archive_write_set_format_raw(writer);
	compression.add(writer);
	archive_write_set_bytes_in_last_block(writer, 1); // no padding
	EXPECT_EQ(archive_write_open_memory(writer, out.data(), out.size(), &used), ARCHIVE_OK);
	archive_entry *entry = archive_entry_new();
	archive_entry_set_pathname(entry, "capture");
	archive_entry_set_filetype(entry, AE_IFREG);
	EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK);
	EXPECT_EQ(archive_write_data(writer, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
	EXPECT_EQ(archive_write_close(writer), ARCHIVE_OK) << compression.name;
	archive_entry_free(entry);
	archive_write_free(writer);
	out.resize(used);
	return out;
}

class Compressed : public Reader, public ::testing::WithParamInterface<Compression> {};
INSTANTIATE_TEST_SUITE_P(Reader, Compressed, ::testing::ValuesIn(compressions),
			 [](const ::testing::TestParamInfo<Compression> &info) { return info.param.name; });

TEST_P(Compressed, GivesTheSameFrames)
{
	const Frames frames = with_wire(odd_frames());
	for (const Bytes &file : {pcap_file(frames), pcapng_file(frames)}) {
		const Bytes small = compress(GetParam(), file);
		ASSERT_NE(small, file);
		const ReadOut out = read(small);
		EXPECT_EQ(out.error, "");
		EXPECT_TRUE(out.frames == frames);
	}
}

TEST_P(Compressed, ConcatenatedPartsAreReadAsOneFile)
{
	const Frames frames = with_wire(odd_frames());
	const Bytes file = pcap_file(frames);
	const auto middle = file.begin() + 777;
	Bytes parts = compress(GetParam(), Bytes(file.begin(), middle));
	const Bytes second = compress(GetParam(), Bytes(middle, file.end()));
	parts.insert(parts.end(), second.begin(), second.end());
	const ReadOut out = read(parts);
	EXPECT_EQ(out.error, "");
	EXPECT_TRUE(out.frames == frames);
}

TEST_P(Compressed, ATruncatedFileGivesTheFramesBeforeTheCutAndAnError)
{
	const Frames frames = with_wire(odd_frames());
	const Bytes whole = compress(GetParam(), pcap_file(frames));
	for (std::size_t length = 1; length + 16 < whole.size(); length += 3) {
		const ReadOut out = read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
		EXPECT_THAT(out.error, HasSubstr("cannot read " + (directory / "capture"))) << length;
		ASSERT_LE(out.frames.size(), frames.size());
		EXPECT_TRUE(std::equal(out.frames.begin(), out.frames.end(), frames.begin())) << length;
	}
}

// libarchive returns whole blocks: 64 KiB, with bzip2 900 KB.
TEST_P(Compressed, ALargeTruncatedFileGivesTheFramesBeforeTheCut)
{
	if (GetParam().name == "lz4")
		return; // one block of 4 MB
	const Frames frames = frames_of(capture("http_206.pcap"));
	const Bytes whole = compress(GetParam(), pcap_file(frames));
	const ReadOut out =
		read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size() * 3 / 4)));
	EXPECT_GT(out.frames.size(), frames.size() / 4);
	EXPECT_LT(out.frames.size(), frames.size());
	EXPECT_TRUE(std::equal(out.frames.begin(), out.frames.end(), frames.begin()));
	EXPECT_THAT(out.error, AllOf(HasSubstr(directory / "capture"),
				     HasSubstr(fmt::format("beyond frame {}: ", out.frames.size()))));
}

TEST_P(Compressed, ADamagedFileDoesNotCrash)
{
	std::mt19937 random(1);
	const Bytes whole = compress(GetParam(), pcap_file(odd_frames()));
	for (int i = 0; i < 100; i++) {
		Bytes damaged = whole;
		for (int n = 0; n < 3; n++)
			damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
		EXPECT_LE(read(damaged).frames.size(), 1000U);
	}
}

// ---- standard input ----

// Makes standard input a pipe with this content.
class PipedInput {
public:
	explicit PipedInput(const Bytes &content) : saved_(dup(STDIN_FILENO))
	{
		int ends[2] = {};
		EXPECT_EQ(pipe(ends), 0);
		EXPECT_EQ(write(ends[1], content.data(), content.size()), static_cast<ssize_t>(content.size()));
		close(ends[1]);
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
	}
	~PipedInput()
	{
		dup2(saved_, STDIN_FILENO);
		close(saved_);
	}
	PipedInput(const PipedInput &) = delete;
	PipedInput &operator=(const PipedInput &) = delete;

private:
	int saved_;
};

TEST_F(Reader, CapturesAreReadFromStandardInput)
{
	const Frames frames = with_wire(odd_frames());
	for (const Bytes &file :
	     {pcap_file(frames), pcapng_file(frames), compress(compressions[0], pcap_file(frames))}) {
		const PipedInput input(file);
		const ReadOut out = read_out("-");
		EXPECT_EQ(out.error, "");
		EXPECT_TRUE(out.frames == frames);
	}
}

TEST_F(Reader, EmptyStandardInputIsAnError)
{
	const PipedInput input({});
	EXPECT_THAT(read_out("-").error, StartsWith("cannot read standard input: "));
}

TEST_F(Reader, EmptyStandardInputIsCalledEmptyEvenIfCompressed)
{
	for (const Bytes &nothing : {Bytes{}, compress(compressions[0], {})}) {
		const PipedInput input(nothing);
		EXPECT_THAT(read_out("-").error, StartsWith("cannot read standard input: it is empty"));
	}
}

// ---- link types ----

class Links : public Reader, public ::testing::WithParamInterface<LinkFormat> {};
INSTANTIATE_TEST_SUITE_P(Reader, Links, ::testing::ValuesIn(link_formats()),
			 [](const ::testing::TestParamInfo<LinkFormat> &info) { return info.param.name; });

TEST_P(Links, GiveTheSameFlows)
{
	for (const char *name : {"tutorial/tutorial.pcap", "ftp_ipv6.pcap", "semantics/17_v4frag.pcap",
				 "semantics/22_v6frag.pcap", "semantics/29_v6ext.pcap"}) {
		const Frames ethernet = frames_of(capture(name));
		const Outcome expected = run_portable(ethernet, t2_config());
		const Frames converted = as_link(GetParam(), ethernet);
		ASSERT_EQ(converted.size(), ethernet.size());

		for (const Bytes &file :
		     {pcap_file(converted, {.dlt = GetParam().dlt}), pcapng_file(converted, {.dlt = GetParam().dlt})}) {
			const ReadOut read_back = read(file);
			ASSERT_EQ(read_back.error, "");
			ASSERT_EQ(read_back.link, GetParam().link);
			const Outcome outcome = run_portable(read_back.frames, t2_config(), read_back.link);
			EXPECT_EQ(flow_text(outcome.flows, t2_config()), flow_text(expected.flows, t2_config()))
				<< name;
			EXPECT_EQ(packet_text(outcome.packets, t2_config()),
				  packet_text(expected.packets, t2_config()));
			ASSERT_EQ(outcome.flows.size(), expected.flows.size());
			for (std::size_t i = 0; i < outcome.flows.size(); i++)
				for (int side : {0, 1})
					EXPECT_EQ(outcome.flows[i].flow.direction[side].bytes,
						  expected.flows[i].flow.direction[side].bytes);
		}
	}
}

TEST_P(Links, TruncatedFramesAreCountedByReason)
{
	const TimedFrame whole = as_link(GetParam(), frames_of(tutorial)).at(0);
	for (std::size_t length = 0; length < whole.bytes.size(); length++) {
		TimedFrame cut = whole;
		cut.bytes.resize(length);
		cut.wire = whole.wire_length();
		const tcpwin_counters counters = run_portable({cut}, t2_config(), GetParam().link).counters;
		std::uint64_t counted = 0;
		for (int i = 0; i < TCPWIN_COUNTER_COUNT; i++)
			counted += i == TCPWIN_COUNTER_FLOWS_CREATED ? 0 : counters.value[i];
		EXPECT_EQ(counted, 1U) << length;
	}
}

// Link types of other networks (802.11, USB), and an unassigned number.
TEST_F(Reader, UnsupportedLinkTypesAreNamed)
{
	EXPECT_EQ(
		read(pcap_file({}, {.dlt = 105})).error,
		"cannot read " + (directory / "capture") +
			": link type IEEE802_11 (105) is not supported; Ethernet, raw IP, Linux cooked, null, loop and PPP are supported");
	EXPECT_THAT(read(pcap_file({}, {.dlt = 220})).error,
		    HasSubstr("link type USB_LINUX_MMAPPED (220) is not supported"));
	EXPECT_THAT(read(pcapng_file(odd_frames(), {.dlt = 127})).error,
		    HasSubstr("link type IEEE802_11_RADIO (127) is not supported"));
	EXPECT_THAT(read(pcap_file({}, {.dlt = 65000})).error, HasSubstr("link type unknown (65000) is not supported"));
}

// ---- filter ----

TEST_F(Reader, AFilterKeepsFrameNumbers)
{
	const ReadOut all = read_out(tutorial);
	const ReadOut one_way = read_out(tutorial, "src host 143.166.11.10");
	EXPECT_THAT(one_way.numbers, ElementsAre(2, 5, 6, 9, 11, 15, 16));
	EXPECT_TRUE(one_way.frames.at(1) == all.frames.at(4));
	EXPECT_THAT(read_out(tutorial, "udp").numbers, IsEmpty());
	EXPECT_EQ(read_out(tutorial, "udp").error, "");
	EXPECT_EQ(read_out(tutorial, "tcp port 49330").numbers, all.numbers);
}

TEST_F(Reader, AFilterWorksOnOtherLinkTypes)
{
	for (const LinkFormat &format : link_formats()) {
		const std::string file = path(pcap_file(as_link(format, frames_of(tutorial)), {.dlt = format.dlt}));
		// libpcap filters a null header only in the byte order of the file, and PPP only behind the HDLC bytes.
		if (format.name == "NullBigEndian" || format.name == "Ppp")
			continue;
		EXPECT_THAT(read_out(file, "src host 143.166.11.10").numbers, ElementsAre(2, 5, 6, 9, 11, 15, 16))
			<< format.name;
	}
}

TEST_F(Reader, AnInvalidFilterIsWrongUsage)
{
	auto opened = CaptureReader::open(tutorial, "port http or");
	ASSERT_FALSE(opened);
	EXPECT_EQ(opened.error().exit, Exit::usage);
	EXPECT_THAT(opened.error().sentence(), StartsWith("cannot use --filter 'port http or': "));
}

// ---- not a capture, or truncated ----

TEST_F(Reader, FilesThatAreNotCapturesAreRefusedWithAReason)
{
	const std::string missing = directory / "missing",
			  text = directory.write("text", {'h', 'e', 'l', 'l', 'o', '\n'});
	EXPECT_EQ(read_out(missing).error, "cannot open " + missing + ": No such file or directory");
	EXPECT_EQ(read_out(directory.path()).error, "cannot read " + directory.path() + ": it is a directory");
	EXPECT_EQ(read({}).error,
		  "cannot read " + (directory / "capture") +
			  ": it is empty; supported formats are pcap and pcapng, optionally compressed");
	EXPECT_THAT(read_out(text).error, StartsWith("cannot read " + text + ": "));
	EXPECT_THAT(read_out("/proc/self/mem").error, StartsWith("cannot read /proc/self/mem: "));
	EXPECT_FALSE(CaptureReader::check(missing));
	EXPECT_TRUE(CaptureReader::check(tutorial));
	EXPECT_TRUE(CaptureReader::check("-"));
}

// {offset where a frame ends: number of frames up to there}: a file truncated at such an offset is valid.
using Ends = std::map<std::size_t, std::size_t>;

Ends ends_in_pcap(const Frames &frames)
{
	Ends ends{{24, 0}};
	for (const TimedFrame &frame : frames)
		ends[ends.rbegin()->first + 16 + frame.bytes.size()] = ends.size();
	return ends;
}

Ends ends_in_pcapng(const Bytes &file)
{
	Ends ends;
	std::size_t at = 0, frames = 0;
	while (at < file.size()) {
		if (file[at] == 6)
			frames++;
		at += file[at + 4] | static_cast<std::size_t>(file[at + 5]) << 8;
		ends[at] = frames;
	}
	return ends;
}

void expect_every_cut_is_reported(const TemporaryDirectory &directory, const Bytes &file, const Frames &frames,
				  const Ends &ends)
{
	const std::size_t header = ends.begin()->first;
	for (std::size_t length = 1; length <= file.size(); length++) {
		const std::string path = directory.write(
			"capture", Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length)));
		const ReadOut out = read_out(path);
		const std::size_t whole = length < header ? 0 : std::prev(ends.upper_bound(length))->second;
		ASSERT_EQ(out.frames.size(), whole) << length << " bytes";
		ASSERT_TRUE(std::equal(out.frames.begin(), out.frames.end(), frames.begin())) << length << " bytes";
		if (ends.contains(length))
			ASSERT_EQ(out.error, "") << length << " bytes";
		else if (length < header)
			ASSERT_THAT(out.error, StartsWith("cannot read " + path + ": ")) << length << " bytes";
		else
			ASSERT_THAT(out.error, StartsWith(fmt::format("cannot read {} beyond frame {}: ", path, whole)))
				<< length << " bytes";
	}
}

TEST_F(Reader, PcapTruncatedAtAnyByteGivesTheFramesBefore)
{
	const Frames frames = with_wire(odd_frames());
	const Bytes file = pcap_file(frames);
	expect_every_cut_is_reported(directory, file, frames, ends_in_pcap(frames));
}

TEST_F(Reader, PcapngTruncatedAtAnyByteGivesTheFramesBefore)
{
	const Frames frames = with_wire(odd_frames());
	const Bytes file = pcapng_file(frames);
	Ends ends = ends_in_pcapng(file);
	ends.erase(ends.begin()); // the section header alone has no link type
	expect_every_cut_is_reported(directory, file, frames, ends);
}

// ---- damage ----

// A section, an interface and one valid frame, followed by `bad`.
Bytes good_then(const Bytes &bad)
{
	Bytes file = pcapng_file({odd_frames()[0]});
	file.insert(file.end(), bad.begin(), bad.end());
	return file;
}

Bytes packet_block(std::uint32_t interface, std::uint32_t captured, std::size_t bytes)
{
	Packer body(std::endian::little);
	body.u32(interface).u32(0).u32(0).u32(captured).u32(captured).raw(Bytes(bytes));
	return pcapng_block(std::endian::little, 6, body.bytes);
}

Bytes block_header(std::uint32_t type, std::uint32_t length)
{
	return Packer(std::endian::little).u32(type).u32(length).raw(Bytes(64)).bytes;
}

TEST_F(Reader, CorruptPcapngBlocksAreReported)
{
	Bytes other_end = packet_block(0, 60, 60);
	other_end[other_end.size() - 4] ^= 4;
	const std::map<std::string, Bytes> corrupt{
		{"length 0", block_header(6, 0)},
		{"length below 12", block_header(6, 8)},
		{"length not of whole words", block_header(6, 63)},
		{"length of 4 GB", block_header(6, 0xfffffffc)},
		{"lengths at both ends differ", other_end},
		{"more captured than the block has", packet_block(0, 100, 60)},
		{"captured 4 GB", packet_block(0, 0xffffffff, 60)},
		{"interface that was not described", packet_block(7, 60, 60)},
		{"packet block without fields", pcapng_block(std::endian::little, 6, {})},
		{"section of unknown byte order",
		 pcapng_block(std::endian::little, 0x0a0d0d0a,
			      Packer(std::endian::little).u32(0x12345678).raw(Bytes(12)).bytes)},
		{"section of version 9",
		 pcapng_block(std::endian::little, 0x0a0d0d0a,
			      Packer(std::endian::little).u32(0x1a2b3c4d).u16(9).u16(0).raw(Bytes(8)).bytes)},
		{"interface of another link type",
		 [] {
			 Bytes blocks = pcapng_interface(std::endian::little, 101, 9);
			 const Bytes packet = packet_block(1, 60, 60);
			 blocks.insert(blocks.end(), packet.begin(), packet.end());
			 return blocks;
		 }()},
	};
	for (const auto &[what, bad] : corrupt) {
		const ReadOut out = read(good_then(bad));
		EXPECT_EQ(out.frames.size(), 1U) << what;
		EXPECT_THAT(out.error, StartsWith("cannot read " + (directory / "capture") + " beyond frame 1: "))
			<< what;
	}
}

TEST_F(Reader, UnknownBlocksAreSkipped)
{
	Bytes file = good_then(pcapng_block(std::endian::little, 0x0bad, Bytes(20)));
	const Bytes packet = packet_block(0, 60, 60);
	file.insert(file.end(), packet.begin(), packet.end());
	EXPECT_EQ(read(file).error, "");
	EXPECT_EQ(read(file).frames.size(), 2U);
}

TEST_F(Reader, SeveralSectionsAreReadInSequence)
{
	const Frames frames = with_wire(odd_frames());
	Bytes file = pcapng_file(frames);
	const Bytes second = pcapng_file(frames, {.order = std::endian::little, .tsresol = 9});
	file.insert(file.end(), second.begin(), second.end());
	EXPECT_EQ(read(file).error, "");
	EXPECT_EQ(read(file).frames.size(), 2 * frames.size());
}

TEST_F(Reader, AnImpossibleLengthIsAnErrorNotAnAllocation)
{
	Bytes file = pcap_file({odd_frames()[0]});
	const Bytes bad =
		Packer(std::endian::little).u32(1).u32(1).u32(0xfffffff0).u32(0xfffffff0).raw(Bytes(100)).bytes;
	file.insert(file.end(), bad.begin(), bad.end());
	const ReadOut out = read(file);
	EXPECT_EQ(out.frames.size(), 1U);
	EXPECT_THAT(out.error, HasSubstr("beyond frame 1: "));
}

TEST_F(Reader, RandomlyDamagedFilesAreReadToAnEnd)
{
	std::mt19937 random(2);
	const Frames frames = odd_frames();
	const Bytes files[] = {pcap_file(frames), pcap_file(frames, {.order = std::endian::big}), pcapng_file(frames),
			       pcapng_file(frames, {.tsresol = 0x80 | 20})};
	for (int i = 0; i < 2'000; i++) {
		Bytes damaged = files[i % 4];
		const std::size_t from = i % 8 < 4 ? 0 : 24; // with and without the file header
		for (std::size_t n = 1 + random() % 8; n > 0; n--)
			damaged[from + random() % (damaged.size() - from)] = static_cast<std::uint8_t>(random());
		const ReadOut out = read(damaged);
		ASSERT_LE(out.frames.size(), damaged.size() / 16);
		const Outcome outcome = run_portable(out.frames, t2_config(), out.link);
		ASSERT_LE(outcome.flows.size(), out.frames.size());
	}
}

// ---- times ----

std::vector<std::uint64_t> times_of(const Frames &frames)
{
	std::vector<std::uint64_t> times;
	for (const TimedFrame &frame : frames)
		times.push_back(frame.time_ns);
	return times;
}

// A pcap file of one record, with these seconds and this fraction.
Bytes pcap_at(std::uint32_t seconds, std::uint32_t fraction, bool nanoseconds)
{
	Bytes file = pcap_file({}, {.nanoseconds = nanoseconds});
	const Bytes frame = odd_frames()[0].bytes;
	const Bytes record = Packer(std::endian::little)
				     .u32(seconds)
				     .u32(fraction)
				     .u32(frame.size())
				     .u32(frame.size())
				     .raw(frame)
				     .bytes;
	file.insert(file.end(), record.begin(), record.end());
	return file;
}

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t latest = 9'000'000'000 * second + 999'999'999; // in 2255; the reader accepts nothing later

TEST_F(Reader, InvalidTimesOfPcapStayInRange)
{
	EXPECT_THAT(times_of(read(pcap_at(0, 0, true)).frames), ElementsAre(0));
	for (const bool nanoseconds : {true, false})
		for (const std::uint32_t fraction : {999'999U, 1'000'000'000U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
			EXPECT_THAT(times_of(read(pcap_at(5, fraction, nanoseconds)).frames),
				    ElementsAre(AllOf(Ge(5 * second), Lt(6 * second))))
				<< "a fraction of a second is below one second";
			EXPECT_THAT(times_of(read(pcap_at(0xffffffff, fraction, nanoseconds)).frames),
				    ElementsAre(Le(latest)));
		}
}

// The seconds are unsigned in the file.
TEST_F(Reader, PcapTimesAfter2038AreRead)
{
	EXPECT_THAT(times_of(read(pcap_at(0x80000000, 7, true)).frames), ElementsAre(0x80000000 * second + 7));
	EXPECT_THAT(times_of(read(pcap_at(0xffffffff, 7, true)).frames), ElementsAre(0xffffffff * second + 7));
}

TEST_F(Reader, AnyResolutionOfPcapngGivesTimesInRange)
{
	for (int tsresol = 0; tsresol < 256; tsresol++)
		for (const std::uint64_t ticks : {0ULL, 1ULL, 1ULL << 31, 1ULL << 63, ~0ULL}) {
			Bytes file = pcapng_section(std::endian::little);
			const Bytes interface =
				pcapng_interface(std::endian::little, 1, static_cast<std::uint8_t>(tsresol));
			const Bytes packet = pcapng_packet(std::endian::little, ticks, odd_frames()[0]);
			file.insert(file.end(), interface.begin(), interface.end());
			file.insert(file.end(), packet.begin(), packet.end());
			const ReadOut out = read(file);
			ASSERT_EQ(out.frames.size(), out.error.empty() ? 1U : 0U) << tsresol << ": " << out.error;
			ASSERT_THAT(times_of(out.frames), Each(Le(latest))) << tsresol << ", " << ticks;
		}
}

// Times alternate between both ends of the range: nothing overflows in the engine.
TEST_F(Reader, InvalidTimesLoseNoPackets)
{
	Frames frames;
	for (std::uint64_t i = 0; i < 1'000; i++) {
		TimedFrame frame = odd_frames()[i % 18];
		frame.time_ns = i % 3 == 0 ? 0 : i % 3 == 1 ? 0xffffffffULL * 1'000'000'000 : i;
		frames.push_back(frame);
	}
	const ReadOut out = read(pcap_file(frames));
	const Outcome outcome = run_portable(out.frames, t2_config());
	std::uint64_t packets = 0;
	for (const tcpwin_record &flow : outcome.flows)
		packets += flow.flow.direction[0].packets + flow.flow.direction[1].packets;
	EXPECT_EQ(packets, 1'000U);
}

} // namespace
} // namespace tcpwin::test
