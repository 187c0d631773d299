// SPDX-License-Identifier: Apache-2.0
#include "explain/source.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "capture/frame_clock.hpp"
#include "capture/reader.hpp"
#include "engine/portable.hpp"
#include "explain/record_parser.hpp"
#include "sinks/format.hpp"

namespace tcpwin {
namespace {

// A blocked sender probes at intervals of up to two minutes, so these timeouts cut no stall.
tcpwin_config config_of(const CaptureOptions &options)
{
	tcpwin_config config = apply_settings(options.settings);
	const tcpwin_config monitor = TCPWIN_MONITOR_CONFIG;
	config.max_clock_jump_ns = monitor.max_clock_jump_ns;
	for (__u64 &timeout : config.timeout_ns)
		timeout = 600'000'000'000;
	config.abort_count = UINT32_MAX;
	return config;
}

// Takes flows from an engine through their JSON, so that a capture and its records give the same summary.
class Listener final : public FlowObserver {
public:
	Listener(const tcpwin_config &config, Connections &connections)
		: config_(config), connections_(connections), format_(make_flow_format(Format::json, std::nullopt))
	{
	}

	void on_flow(const tcpwin_record &record) override
	{
		line_.clear();
		format_->flow(make_flow_record(record, config_, std::chrono::nanoseconds(0), {}), line_);
		auto flow = parser_.parse({line_.data(), line_.size() - 1});
		if (flow && *flow)
			connections_.add(std::move(**flow));
	}
	void on_alarm(const tcpwin_alarm &) override {}
	void on_packet(const tcpwin_packet_event &, std::uint64_t) override {}

private:
	const tcpwin_config &config_;
	Connections &connections_;
	std::unique_ptr<FlowFormat> format_;
	fmt::memory_buffer line_;
	RecordParser parser_;
};

Result<void> track(std::span<const Frame> frames, Engine &engine)
{
	for (const Frame &frame : frames)
		TRY(engine.packet(frame));
	return {};
}

Result<void> track_all(CaptureReader &reader, FrameClock &clock, Engine &engine)
{
	while (true) {
		const auto frame = TRY(reader.next());
		if (!frame)
			return {};
		TRY(track(clock.add(*frame), engine));
	}
}

// None is evicted: memory limits a reader of captures, not what others send meanwhile.
constexpr std::uint32_t most_flows = UINT32_MAX;

tl::unexpected<Error> bad_line(const Input &input, const LineReader &lines, const std::string &why)
{
	const bool cut = !lines.was_ended();
	return fail(fmt::format("cannot read line {} of {}", lines.number(), input.name()),
		    cut ? "it has no newline: the file was cut" : why,
		    cut ? "the lines before it are summarized" : "flow records are JSON lines of tcpwin-agent");
}

tl::unexpected<Error> no_flows(const Input &input, const std::map<std::string, std::uint64_t> &lines_by_event)
{
	std::vector<std::string> found;
	found.reserve(lines_by_event.size());
	for (const auto &[event, lines] : lines_by_event)
		found.push_back(fmt::format("{} {} {}", lines, event, lines == 1 ? "line" : "lines"));
	return fail("cannot explain " + input.name(),
		    fmt::format("it has {}, but no flow records", fmt::join(found, ", ")),
		    lines_by_event.contains("packet") ? "use the file of --output, not that of --packets" :
		    lines_by_event.contains("status") ? "use what attach or replay writes" :
							"flow records are written when flows end");
}

} // namespace

Result<void> read_records(const Input &input, Connections &connections)
{
	LineReader lines(input);
	RecordParser parser;
	std::map<std::string, std::uint64_t> others; // lines by event
	std::map<std::uint64_t, ParsedFlow> interim; // the last interim record of each flow
	while (true) {
		auto line = TRY(lines.next());
		if (!line)
			break;
		auto flow = parser.parse(*line);
		if (!flow)
			return bad_line(input, lines, flow.error());
		if (!*flow) {
			others[parser.other_event()]++;
			connections.add(parser.flood());
			continue;
		}
		const std::uint64_t id = (*flow)->id;
		if ((*flow)->interim) {
			interim.insert_or_assign(id, std::move(**flow));
			continue;
		}
		interim.erase(id);
		connections.add(std::move(**flow));
	}
	for (auto &[id, flow] : interim)
		connections.add(std::move(flow));
	if (!others.empty() && !connections.flows() && !connections.ended_early())
		return no_flows(input, others);
	return {};
}

Result<void> read_capture(const std::string &path, const CaptureOptions &options, Connections &connections)
{
	auto reader = TRY(CaptureReader::open(path, {}));
	const tcpwin_config config = config_of(options);
	Listener listener(config, connections);
	auto engine = make_portable_engine({.config = config, .max_flows = most_flows}, listener);
	FrameClock clock(config.max_clock_jump_ns);
	Result<void> result = track_all(reader, clock, *engine);
	auto rest = track(clock.end_file(), *engine);
	auto finished = engine->finish();
	connections.set_clock(clock.findings());
	return !result ? result : rest ? finished : rest;
}

} // namespace tcpwin
