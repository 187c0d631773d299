// SPDX-License-Identifier: Apache-2.0
// The captures in tests/captures, their frames, and capture files that tests create.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "capture/reader.hpp"
#include "support/frame.hpp"

namespace tcpwin::test {

// One frame of a capture, with its time.
struct TimedFrame {
	Bytes bytes;
	std::uint64_t time_ns = 0;
	std::uint32_t wire = 0; // length on the wire; 0: the captured length

	std::uint32_t wire_length() const { return std::max(wire, static_cast<std::uint32_t>(bytes.size())); }
	bool operator==(const TimedFrame &) const = default;
};

using Frames = std::vector<TimedFrame>;

inline std::filesystem::path capture(const std::string &name)
{
	return std::filesystem::path(TCPWIN_CAPTURES) / name;
}

inline bool is_capture(const std::filesystem::path &path)
{
	return path.extension() == ".pcap" || path.extension() == ".pcapng";
}

// Relative to tests/captures, sorted.
inline std::vector<std::string> all_captures()
{
	std::vector<std::string> names;
	for (const auto &entry : std::filesystem::recursive_directory_iterator(TCPWIN_CAPTURES))
		if (is_capture(entry.path()))
			names.push_back(std::filesystem::relative(entry.path(), TCPWIN_CAPTURES));
	std::sort(names.begin(), names.end());
	return names;
}

// Everything that a reader returns up to the end of the file or an error. `error` is empty at the end of the file.
struct ReadOut {
	Frames frames = {};
	std::vector<std::uint64_t> numbers = {};
	LinkType link = LinkType::ethernet;
	std::string error = {};
};

inline ReadOut read_out(const std::string &path, const std::string &filter = {})
{
	ReadOut out;
	auto reader = CaptureReader::open(path, filter);
	if (!reader)
		return {.error = reader.error().sentence()};
	while (true) {
		auto next = reader->next();
		if (!next)
			out.error = next.error().sentence();
		if (!next || !*next)
			return out;
		const tcpwin::Frame &frame = **next;
		out.link = frame.link;
		out.numbers.push_back(frame.number);
		out.frames.push_back({Bytes(frame.data, frame.data + frame.captured), frame.time_ns, frame.wire});
	}
}

inline Frames frames_of(const std::string &path)
{
	ReadOut out = read_out(path);
	if (!out.error.empty())
		throw std::runtime_error(out.error);
	return out.frames;
}

// A directory that is removed after the test.
class TemporaryDirectory {
public:
	TemporaryDirectory()
	{
		std::string pattern = std::filesystem::temp_directory_path() / "replay_tests.XXXXXX";
		if (!mkdtemp(pattern.data()))
			throw std::runtime_error("no temporary directory");
		path_ = pattern;
	}
	~TemporaryDirectory() { std::filesystem::remove_all(path_); }
	TemporaryDirectory(const TemporaryDirectory &) = delete;
	TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;

	std::string path() const { return path_; }
	std::string operator/(const std::string &name) const { return path_ / name; }

	std::string write(const std::string &name, const Bytes &bytes) const
	{
		std::filesystem::remove(path_ / name); // overwriting a file waits for the disk on some file systems
		std::ofstream file(path_ / name, std::ios::binary);
		file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
		return path_ / name;
	}

private:
	std::filesystem::path path_;
};

inline Bytes content_of(const std::string &path)
{
	std::ifstream file(path, std::ios::binary);
	return Bytes(std::istreambuf_iterator<char>(file), {});
}

// Appends integers in one of the two byte orders.
class Packer {
public:
	explicit Packer(std::endian order) : order_(order) {}

	Packer &u16(std::uint64_t value) { return put(value, 2); }
	Packer &u32(std::uint64_t value) { return put(value, 4); }
	Packer &raw(const Bytes &more)
	{
		bytes.insert(bytes.end(), more.begin(), more.end());
		return *this;
	}
	Packer &pad_to_words()
	{
		bytes.resize((bytes.size() + 3) / 4 * 4);
		return *this;
	}

	Bytes bytes;

private:
	Packer &put(std::uint64_t value, int width)
	{
		for (int i = 0; i < width; i++)
			bytes.push_back(static_cast<std::uint8_t>(
				value >> 8 * (order_ == std::endian::little ? i : width - 1 - i)));
		return *this;
	}

	std::endian order_;
};

struct PcapFields {
	std::endian order = std::endian::little;
	bool nanoseconds = true;
	std::uint32_t dlt = 1; // Ethernet
};

// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
inline Bytes pcap_file(const Frames &frames, const PcapFields &fields = {})
{
	Packer file(fields.order);
	file.u32(fields.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4).u16(2).u16(4).u32(0).u32(0).u32(262144).u32(fields.dlt);
	for (const TimedFrame &frame : frames)
		file.u32(frame.time_ns / 1'000'000'000)
			.u32(frame.time_ns % 1'000'000'000 / (fields.nanoseconds ? 1 : 1000))
			.u32(frame.bytes.size())
			.u32(frame.wire_length())
			.raw(frame.bytes);
	return file.bytes;
}

struct PcapngFields {
	std::endian order = std::endian::little;
	std::uint8_t tsresol = 9; // 10^-9 s
	std::uint16_t dlt = 1;
};

inline Bytes pcapng_block(std::endian order, std::uint32_t type, const Bytes &body)
{
	Packer padded(order);
	padded.raw(body).pad_to_words();
	const std::size_t length = padded.bytes.size() + 12;
	return Packer(order).u32(type).u32(length).raw(padded.bytes).u32(length).bytes;
}

inline Bytes pcapng_section(std::endian order)
{
	return pcapng_block(order, 0x0a0d0d0a,
			    Packer(order).u32(0x1a2b3c4d).u16(1).u16(0).u32(0xffffffff).u32(0xffffffff).bytes);
}

inline Bytes pcapng_interface(std::endian order, std::uint16_t dlt, std::uint8_t tsresol)
{
	Packer body(order);
	body.u16(dlt).u16(0).u32(262144).u16(9).u16(1).raw({tsresol}).pad_to_words().u32(0);
	return pcapng_block(order, 1, body.bytes);
}

inline Bytes pcapng_packet(std::endian order, std::uint64_t ticks, const TimedFrame &frame)
{
	Packer body(order);
	body.u32(0).u32(ticks >> 32).u32(ticks & 0xffffffff).u32(frame.bytes.size()).u32(frame.wire_length());
	return pcapng_block(order, 6, body.raw(frame.bytes).bytes);
}

// The time in ticks of 10^-tsresol s, or of 2^-(tsresol & 0x7f) s if bit 7 is set.
inline std::uint64_t pcapng_ticks(std::uint64_t time_ns, std::uint8_t tsresol)
{
	if (tsresol & 0x80)
		return static_cast<std::uint64_t>((static_cast<__uint128_t>(time_ns) << (tsresol & 0x7f)) /
						  1'000'000'000);
	for (int digits = tsresol; digits < 9; digits++)
		time_ns /= 10;
	return time_ns;
}

// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html
inline Bytes pcapng_file(const Frames &frames, const PcapngFields &fields = {})
{
	Packer file(fields.order);
	file.raw(pcapng_section(fields.order)).raw(pcapng_interface(fields.order, fields.dlt, fields.tsresol));
	for (const TimedFrame &frame : frames)
		file.raw(pcapng_packet(fields.order, pcapng_ticks(frame.time_ns, fields.tsresol), frame));
	return file.bytes;
}

} // namespace tcpwin::test
