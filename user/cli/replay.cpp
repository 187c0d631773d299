// SPDX-License-Identifier: Apache-2.0
// Captures through an engine into records.
#include "cli/replay.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

#include "capture/reader.hpp"
#include "engine/kernel.hpp"
#include "engine/portable.hpp"
#include "base/progress.hpp"
#include "record/record.hpp"
#include "sinks/outputs.hpp"
#include "record/report.hpp"

namespace tcpwin {
namespace {

constexpr std::uint64_t look_around = 4096; // frames between two looks at signals and the clock

// First and last time of the frames; the capture's, whatever their order.
struct Span {
	std::uint64_t first_ns = UINT64_MAX;
	std::uint64_t last_ns = 0;

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
		  writers_(std::move(writers)), progress_(options.verbosity != Verbosity::quiet)
	{
	}

	// first: a reader of the first file.
	Result<void> run(CaptureReader first, Engine &engine);
	std::string report(const Engine &engine) const;

	void on_flow(const tcpwin_record &record) override;
	void on_alarm(const tcpwin_alarm &alarm) override;
	void on_packet(const tcpwin_packet_event &event, std::uint64_t number) override;

private:
	Result<void> read(CaptureReader reader, const std::string &path, Engine &engine);
	void answer_signals(const Engine &engine);
	Result<void> look_around_at(const CaptureReader &reader, const std::string &path, const Engine &engine);
	void keep(Result<void> written);

	const ReplayOptions &options_;
	Signals signals_;
	Interruptions &interruptions_; // of all readers
	RecordWriters writers_;
	Progress progress_;
	Span span_;
	std::uint64_t frames_ = 0;          // in all files
	std::uint64_t frames_of_files_ = 0; // in the files before the present one
	Result<void> written_;              // the first error
};

// Observers cannot fail; the error is picked up at the next look around.
void Replay::keep(Result<void> written)
{
	if (!written && written_)
		written_ = std::move(written);
}

void Replay::on_flow(const tcpwin_record &record)
{
	writers_.flow(make_flow_record(record, options_.config, std::chrono::nanoseconds(0), {}));
	keep(writers_.flush_if_large(signals_));
}

void Replay::on_alarm(const tcpwin_alarm &alarm)
{
	for (const AlarmRecord &record : make_alarm_records(alarm, options_.config, std::chrono::nanoseconds(0), {}))
		writers_.alarm(record);
}

void Replay::on_packet(const tcpwin_packet_event &event, std::uint64_t number)
{
	writers_.packet(make_packet_record(event, number, options_.config, std::chrono::nanoseconds(0)));
	keep(writers_.flush_if_large(signals_));
}

void Replay::answer_signals(const Engine &engine)
{
	signals_.collect();
	if (!signals_.take_report())
		return;
	progress_.clear();
	const auto text = fmt::format("Report after {} frames\n{}", frames_, report(engine));
	std::fputs(text.c_str(), stderr); // may fail: stderr is nobody's data
}

Result<void> Replay::look_around_at(const CaptureReader &reader, const std::string &path, const Engine &engine)
{
	answer_signals(engine);
	progress_.show(path, reader.position(), reader.size(), frames_);
	return written_;
}

// After a signal, the end or an error of the file is that of the wait for it.
Result<void> Replay::read(CaptureReader reader, const std::string &path, Engine &engine)
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
		span_.add(read.time_ns);
		TRY(engine.packet(read));
		if (++frames_ % look_around == 0)
			TRY(look_around_at(reader, path, engine));
	}
	frames_of_files_ += reader.number();
	return {};
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
	keep(writers_.flush(signals_));
	return result ? written_ : result;
}

std::string Replay::report(const Engine &engine) const
{
	std::string text;
	if (frames_) {
		const WallTime first{std::chrono::nanoseconds(span_.first_ns)},
			last{std::chrono::nanoseconds(span_.last_ns)};
		const auto duration = (last - first).count();
		text = fmt::format("Capture start: {}\nCapture end: {}\nCapture duration: {}.{:09} s\n",
				   format_time(first), format_time(last), duration / 1'000'000'000,
				   duration % 1'000'000'000);
	}
	if (auto counters = engine.counters())
		text += format_report(writers_.totals(), *counters, options_.config, options_.max_flows);
	return text;
}

Result<std::unique_ptr<Engine>> make_engine(const ReplayOptions &options, FlowObserver &observer)
{
	const TrackingOptions engine_options{.config = options.config,
					     .report_packets = !options.packets.empty(),
					     .analyze_stalls = options.analyze_stalls,
					     .max_flows = options.max_flows};
	if (options.engine == EngineKind::kernel)
		return make_kernel_engine(engine_options, observer);
	return make_portable_engine(engine_options, observer);
}

} // namespace

Result<void> replay(const ReplayOptions &options)
{
	// The output comes last: a mistake elsewhere must not have emptied a file.
	for (const std::string &path : options.files)
		TRY(CaptureReader::check(path));
	auto signals = TRY(Signals::create(Signals::Taken::report));
	Interruptions interruptions{.stop_fd = signals.stop_fd(), .request_fd = signals.request_fd(), .answer = {}};
	auto first = CaptureReader::open(options.files.front(), options.filter, &interruptions);
	if (!first) {
		signals.collect(); // the wait for its first bytes was given up, or it is wrong
		return signals.requested() ? Result<void>{} : tl::unexpected(first.error());
	}
	auto writers = TRY(RecordWriters::open(options));

	Replay replay(options, std::move(signals), interruptions, std::move(writers));
	auto engine = TRY(make_engine(options, replay));
	auto result = replay.run(std::move(*first), *engine);
	if (options.verbosity != Verbosity::quiet)
		std::fputs(replay.report(*engine).c_str(), stderr); // may fail: stderr is nobody's data
	return result;
}

} // namespace tcpwin
