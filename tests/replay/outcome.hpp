// SPDX-License-Identifier: Apache-2.0
// The output of an engine for given frames, as values and as Tranalyzer2's text.
#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine.hpp"
#include "engine/portable.hpp"
#include "record/record.hpp"
#include "replay/captures.hpp"
#include "sinks/format.hpp"

namespace tcpwin::test {

struct SeenPacket {
	std::uint64_t number;
	tcpwin_packet_event event;
};

// Keeps all records. ended_before[i]: the number of packets reported before flow i ended.
struct Collector final : FlowObserver {
	std::vector<tcpwin_record> flows;
	std::vector<tcpwin_alarm> alarms;
	std::vector<SeenPacket> packets;
	std::vector<std::size_t> ended_before;

	void on_flow(const tcpwin_record &record) override
	{
		flows.push_back(record);
		ended_before.push_back(packets.size());
	}
	void on_alarm(const tcpwin_alarm &alarm) override { alarms.push_back(alarm); }
	void on_packet(const tcpwin_packet_event &event, std::uint64_t number) override
	{
		packets.push_back({number, event});
	}
};

struct Outcome {
	std::vector<tcpwin_record> flows;
	std::vector<tcpwin_alarm> alarms;
	std::vector<SeenPacket> packets;
	tcpwin_counters counters{};
};

inline void feed(Engine &engine, const TimedFrame &frame, std::uint64_t number, LinkType link = LinkType::ethernet)
{
	const auto captured = static_cast<std::uint32_t>(frame.bytes.size());
	// An exact copy on the heap, so that a sanitizer detects reads beyond the frame.
	const auto exact = std::make_unique<std::uint8_t[]>(captured);
	std::copy(frame.bytes.begin(), frame.bytes.end(), exact.get());
	auto done = engine.packet({exact.get(), captured, frame.wire_length(), link, frame.time_ns, number});
	ASSERT_TRUE(done) << done.error().sentence();
}

inline Outcome run_portable(const Frames &frames, const tcpwin_config &config = TCPWIN_DEFAULT_CONFIG,
			    LinkType link = LinkType::ethernet)
{
	Collector collector;
	auto engine = make_portable_engine({.config = config, .report_packets = true}, collector);
	for (std::size_t i = 0; i < frames.size(); i++)
		feed(*engine, frames[i], i + 1, link);
	EXPECT_TRUE(engine->finish());
	return {std::move(collector.flows), std::move(collector.alarms), std::move(collector.packets),
		*engine->counters()};
}

// The constants of the tutorial, with the NEW timeout of T2.
inline tcpwin_config t2_config()
{
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_NEW] = 182'000'000'000;
	return config;
}

inline std::string flow_text(const std::vector<tcpwin_record> &flows, const tcpwin_config &config)
{
	const auto format = make_flow_format(Format::t2);
	fmt::memory_buffer text;
	format->begin(text);
	for (const tcpwin_record &flow : flows)
		format->flow(make_flow_record(flow, config, std::chrono::nanoseconds(0), {}), text);
	return fmt::to_string(text);
}

inline std::string packet_text(const std::vector<SeenPacket> &packets, const tcpwin_config &config)
{
	const auto format = make_packet_format(Format::t2);
	fmt::memory_buffer text;
	format->begin(text);
	for (const SeenPacket &packet : packets)
		format->packet(make_packet_record(packet.event, packet.number, config, std::chrono::nanoseconds(0)),
			       text);
	return fmt::to_string(text);
}

// A table of columns separated by white space, below a line of column names.
using Row = std::map<std::string, std::string>;

inline std::vector<Row> parse_table(std::istream &text)
{
	const auto words_of = [](const std::string &line) {
		std::istringstream words(line);
		return std::vector<std::string>(std::istream_iterator<std::string>(words), {});
	};
	std::vector<Row> rows;
	std::string line;
	std::getline(text, line);
	const std::vector<std::string> names = words_of(line);
	while (std::getline(text, line)) {
		const std::vector<std::string> values = words_of(line);
		EXPECT_EQ(values.size(), names.size()) << line;
		Row row;
		for (std::size_t i = 0; i < std::min(names.size(), values.size()); i++)
			row[names[i]] = values[i];
		rows.push_back(std::move(row));
	}
	return rows;
}

inline std::vector<Row> parse_table(const std::string &text)
{
	std::istringstream stream(text);
	return parse_table(stream);
}

// Normalizes the layout: one space between columns, none at the ends of a line, no empty lines.
inline std::string squeeze(const std::string &text)
{
	std::istringstream lines(text);
	std::string result, line, word;
	while (std::getline(lines, line)) {
		std::istringstream words(line);
		std::string squeezed;
		while (words >> word)
			squeezed += squeezed.empty() ? word : " " + word;
		if (!squeezed.empty())
			result += squeezed + "\n";
	}
	return result;
}

} // namespace tcpwin::test
