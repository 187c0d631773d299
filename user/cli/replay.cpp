// SPDX-License-Identifier: Apache-2.0
// Reads captures through an engine and writes the records.
#include "cli/replay.hpp"

#include <algorithm>
#include <cstdio>
#include <span>

#include <fmt/format.h>

#include "base/progress.hpp"
#include "capture/frame_clock.hpp"
#include "capture/reader.hpp"
#include "cli/common_options.hpp"
#include "cli/files.hpp"
#include "engine/kernel.hpp"
#include "engine/portable.hpp"
#include "record/record.hpp"
#include "record/report.hpp"

namespace tcpwin {
namespace {

constexpr auto examples = R"(Durations have a unit: 10s, 2.2s, 1ms, 5min, 1h30min.

Examples:
  # Flow records of a capture as JSON lines, the end report on stderr
  tcpwin-agent replay capture.pcapng

  # Flows and packets as Tranalyzer2 prints them
  tcpwin-agent replay capture.pcap --format t2 --timeout-new 182s \
    --output flows.txt --packets packets.txt

  # One host of what tcpdump writes
  tcpdump -r capture.pcap.zst -w - | tcpwin-agent replay - --filter 'host 192.0.2.1'

Exit codes: 0 done, 1 a file could not be read (to its end), 2 wrong usage,
78 the --config file is invalid; with --engine kernel also 69 not supported by this kernel,
77 no permission.)";

constexpr std::uint64_t frames_between_checks = 4096; // of signals and of the clock

// The earliest and the latest time of the frames, whatever their order.
struct Span {
	std::uint64_t first_ns = UINT64_MAX;
	std::uint64_t last_ns = 0;

	bool is_empty() const { return last_ns < first_ns; }
	void add(std::uint64_t time_ns)
	{
		first_ns = std::min(first_ns, time_ns);
		last_ns = std::max(last_ns, time_ns);
	}
};

class Replay final : public FlowObserver {
public:
	Replay(const ReplayOptions &options, Signals signals, Interruptions &interruptions, RecordWriters writers)
		: options_(options), signals_(std::move(signals)), interruptions_(interruptions),
		  writers_(std::move(writers)), progress_(options.verbosity != Verbosity::quiet),
		  clock_(options.tracking.config.max_clock_jump_ns)
	{
	}

	// first: a reader of the first file.
	Result<void> run(CaptureReader first, Engine &engine);
	std::string report(const Engine &engine) const;
	// Nothing without --summary.
	Result<void> write_summary(const Engine &engine);

	void on_flow(const tcpwin_record &record) override;
	void on_alarm(const tcpwin_alarm &alarm) override;
	void on_packet(const tcpwin_packet_event &event, std::uint64_t number) override;

private:
	Result<void> read(CaptureReader reader, const std::string &path, Engine &engine);
	Result<void> read_frames(CaptureReader &reader, const std::string &path, Engine &engine);
	Result<void> track(std::span<const Frame> frames, Engine &engine);
	void answer_signals(const Engine &engine);
	Result<void> check_in(const CaptureReader &reader, const std::string &path, const Engine &engine);
	void keep(Result<void> written);

	const ReplayOptions &options_;
	Signals signals_;
	Interruptions &interruptions_; // of all readers
	RecordWriters writers_;
	UnansweredFlows unanswered_{writers_};
	Progress progress_;
	FrameClock clock_;
	Span span_;
	std::uint64_t frames_ = 0;          // in all files
	std::uint64_t frames_of_files_ = 0; // in the files before the current one
	Result<void> written_;              // the first error
};

// Observers cannot fail; check_in() returns the error.
void Replay::keep(Result<void> written)
{
	if (!written && written_)
		written_ = std::move(written);
}

void Replay::on_flow(const tcpwin_record &record)
{
	unanswered_.pass_to(record.now_ns, options_.tracking.config, {});
	if (unanswered_.add(record, options_.tracking.config))
		return;
	writers_.flow(make_flow_record(record, options_.tracking.config, std::chrono::nanoseconds(0), {}));
	keep(writers_.flush_if_large(signals_));
}

void Replay::on_alarm(const tcpwin_alarm &alarm)
{
	for (const AlarmRecord &record :
	     make_alarm_records(alarm, options_.tracking.config, std::chrono::nanoseconds(0), {}))
		writers_.alarm(record);
}

void Replay::on_packet(const tcpwin_packet_event &event, std::uint64_t number)
{
	writers_.packet(make_packet_record(event, number, options_.tracking.config, std::chrono::nanoseconds(0)));
	keep(writers_.flush_if_large(signals_));
}

void Replay::answer_signals(const Engine &engine)
{
	signals_.collect();
	if (!signals_.take_report())
		return;
	progress_.clear();
	const auto text = fmt::format("Report after {} frames\n{}", frames_, report(engine));
	std::fputs(text.c_str(), stderr); // may fail: stderr carries no data
}

Result<void> Replay::check_in(const CaptureReader &reader, const std::string &path, const Engine &engine)
{
	answer_signals(engine);
	progress_.show(path, reader.position(), reader.size(), frames_);
	return written_;
}

Result<void> Replay::track(std::span<const Frame> frames, Engine &engine)
{
	for (const Frame &frame : frames) {
		span_.add(frame.time_ns);
		TRY(engine.packet(frame));
	}
	return {};
}

// After a signal, an end or error of the file only means that the wait for it was interrupted.
Result<void> Replay::read_frames(CaptureReader &reader, const std::string &path, Engine &engine)
{
	while (!signals_.requested()) {
		auto frame = reader.next();
		if (!frame || !*frame) {
			signals_.collect();
			if (!frame && !signals_.requested())
				return tl::unexpected(frame.error());
			break;
		}
		Frame &read = **frame;
		read.number += frames_of_files_;
		for (const Frame &ready : clock_.add(read)) { // without track(): its result would cost time
			span_.add(ready.time_ns);
			TRY(engine.packet(ready));
		}
		if (++frames_ % frames_between_checks == 0)
			TRY(check_in(reader, path, engine));
	}
	return {};
}

Result<void> Replay::read(CaptureReader reader, const std::string &path, Engine &engine)
{
	auto result = read_frames(reader, path, engine);
	auto rest = track(clock_.end_file(), engine);
	frames_of_files_ += reader.number();
	return result ? rest : result;
}

Result<void> Replay::run(CaptureReader first, Engine &engine)
{
	interruptions_.answer = [&] { answer_signals(engine); };
	Result<void> result = read(std::move(first), options_.files.front(), engine);
	for (std::size_t i = 1; i < options_.files.size() && result && !signals_.requested(); i++) {
		auto reader = CaptureReader::open(options_.files[i], options_.filter, &interruptions_);
		result = reader ? read(std::move(*reader), options_.files[i], engine) :
				  Result<void>(tl::unexpected(reader.error()));
	}
	interruptions_.answer = {};
	progress_.clear();
	if (auto finished = engine.finish(); !finished && result)
		result = finished;
	unanswered_.finish(options_.tracking.config, {});
	keep(writers_.flush(signals_));
	return result ? written_ : result;
}

std::string Replay::report(const Engine &engine) const
{
	std::string text;
	if (!span_.is_empty()) {
		const WallTime first{std::chrono::nanoseconds(span_.first_ns)},
			last{std::chrono::nanoseconds(span_.last_ns)};
		const auto duration = (last - first).count();
		text = fmt::format("Capture start: {}\nCapture end: {}\nCapture duration: {}.{:09} s\n",
				   format_time(first), format_time(last), duration / 1'000'000'000,
				   duration % 1'000'000'000);
	}
	if (const std::string clock = describe(clock_.findings()); !clock.empty())
		text += fmt::format("Clock of the capture: {}\n", clock);
	if (auto counters = engine.counters())
		text += format_report(writers_.totals(), *counters, options_.tracking.config,
				      options_.tracking.max_flows);
	return text;
}

Result<void> Replay::write_summary(const Engine &engine)
{
	if (!writers_.wants_summary())
		return {};
	const auto counters = TRY(engine.counters());
	const ClockFindings clock = clock_.findings();
	const auto time = [&](std::uint64_t ns) {
		return span_.is_empty() ? std::nullopt : std::optional(WallTime(std::chrono::nanoseconds(ns)));
	};
	return writers_.write_summary({.time = std::chrono::system_clock::now(),
				       .live = false,
				       .kernel = options_.engine == EngineKind::kernel,
				       .profile = options_.tracking.profile,
				       .inputs = options_.files,
				       .start = time(span_.first_ns),
				       .end = time(span_.last_ns),
				       .clock = {.steps_back = clock.steps_back,
						 .back = clock.about_back(),
						 .wild_times = clock.wild_frames,
						 .no_times = clock.no_times},
				       .win_threshold = options_.tracking.config.window_threshold,
				       .flows = 0,
				       .max_flows = options_.tracking.max_flows,
				       .coverage = {},
				       .totals = {.counters = counters, .records = writers_.totals()}},
				      signals_);
}

Result<std::unique_ptr<Engine>> make_engine(const ReplayOptions &options, FlowObserver &observer)
{
	if (options.engine == EngineKind::kernel)
		return make_kernel_engine(options.tracking, observer);
	return make_portable_engine(options.tracking, observer);
}

Result<void> check_files(const ReplayOptions &options)
{
	if (std::ranges::count(options.files, "-") > 1)
		return fail("wrong usage", "standard input (-) is given twice, but can be read only once",
			    "give - once", Exit::usage);
	std::vector<std::string> inputs = options.files;
	inputs.push_back(options.settings.file);
	return check_outputs(options.output, inputs);
}

} // namespace

void define_replay(OptionList &list, ReplayOptions &options)
{
	list.arguments("FILE", options.files,
		       "pcap or pcapng files, compressed or not, read in this order; - for standard input",
		       OptionList::Needed::required);
	list.pattern("--filter", "EXPRESSION", options.filter,
		     "Only frames that match this expression, as in pcap-filter(7) and tcpdump");
	list.choice<EngineKind>("--engine", "ENGINE", options.engine,
				{{"portable", EngineKind::portable}, {"kernel", EngineKind::kernel}},
				"portable: in user space; kernel: each frame through the XDP program (root, slower)");
	add_max_flows(list, options.tracking.max_flows);
	add_recording(list, options.output, options.settings, options.tracking);
	add_verbosity(list, options.verbosity, "More messages on stderr, including the kernel verifier's log");
	list.footer(examples);
}

// The outputs are opened after the first capture, so that an error there does not truncate a file.
Result<Exit> replay(const ReplayOptions &options)
{
	log::set_verbosity(options.verbosity);
	TRY(check_files(options));
	for (const std::string &path : options.files)
		TRY(CaptureReader::check(path));
	auto signals = TRY(Signals::create(Signals::Taken::report));
	Interruptions interruptions{.stop_fd = signals.stop_fd(), .request_fd = signals.request_fd(), .answer = {}};
	auto first = CaptureReader::open(options.files.front(), options.filter, &interruptions);
	if (!first) {
		signals.collect(); // either a signal ended the wait for the first bytes, or the file is invalid
		return signals.requested() ? Result<Exit>(Exit::success) : tl::unexpected(first.error());
	}
	auto writers = TRY(RecordWriters::open(options.output));

	Replay replay(options, std::move(signals), interruptions, std::move(writers));
	auto engine = TRY(make_engine(options, replay));
	auto done = replay.run(std::move(*first), *engine);
	if (options.verbosity != Verbosity::quiet)
		std::fputs(replay.report(*engine).c_str(), stderr); // may fail: stderr carries no data
	auto summarized = replay.write_summary(*engine);
	TRY(std::move(done));
	TRY(std::move(summarized));
	return Exit::success;
}

} // namespace tcpwin
