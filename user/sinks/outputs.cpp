// SPDX-License-Identifier: Apache-2.0
#include "sinks/outputs.hpp"

#include "sinks/json.hpp"

namespace tcpwin {

RecordWriters::RecordWriters(Writer flows, std::optional<Writer> packets, std::optional<Output> summary,
			     const OutputOptions &options)
	: flows_(std::move(flows)), packets_(std::move(packets)), summary_(std::move(summary)),
	  flow_format_(make_flow_format(options.flows.format, options.flows.community_id_seed)),
	  packet_format_(make_packet_format(options.flows.format)), alarms_only_(options.alarms_only)
{
	if (!flows_.output().is_continued())
		flow_format_->begin(flows_.text());
	if (packets_ && !packets_->output().is_continued())
		packet_format_->begin(packets_->text());
}

Result<RecordWriters> RecordWriters::open(const OutputOptions &options)
{
	auto flows = TRY(Output::open(options.flows.path, options.append));
	std::optional<Writer> packet_writer;
	if (!options.packets.empty()) {
		auto packets = TRY(Output::open(options.packets, options.append));
		packet_writer.emplace(std::move(packets));
	}
	std::optional<Output> summary;
	if (!options.summary.empty())
		summary = TRY(Output::open(options.summary));
	return RecordWriters(Writer(std::move(flows)), std::move(packet_writer), std::move(summary), options);
}

Result<void> RecordWriters::write_summary(const Summary &summary, Signals &signals)
{
	fmt::memory_buffer line;
	put_summary(summary, line);
	return summary_->write({line.data(), line.size()}, signals);
}

void RecordWriters::alarm(const AlarmRecord &record)
{
	totals_.alarms++;
	if (flow_format_->alarm(record, flows_.text()))
		flows_.record();
}

void RecordWriters::on_unanswered(const UnansweredRecord &record)
{
	totals_ += record.totals;
	if (!alarms_only_)
		flow_format_->unanswered(record, flows_.text());
}

void RecordWriters::on_syn_flood(const SynFloodAlarm &alarm)
{
	totals_.alarms++;
	if (flow_format_->syn_flood(alarm, flows_.text()))
		flows_.record();
}

Result<void> RecordWriters::flush(Signals &signals)
{
	auto flows = flows_.flush(signals);
	auto packets = packets_ ? packets_->flush(signals) : Result<void>{};
	return flows ? packets : flows;
}

Result<void> RecordWriters::flush_if_large(Signals &signals)
{
	auto flows = flows_.flush_if_large(signals);
	auto packets = packets_ ? packets_->flush_if_large(signals) : Result<void>{};
	return flows ? packets : flows;
}

Result<void> RecordWriters::reopen(const OpenFile &open)
{
	const auto reopen_one = [&](Writer &writer, const auto &format) -> Result<void> {
		if (!writer.output().can_be_reopened())
			return {};
		auto continued = open(writer.output().name()).and_then([&](UniqueFd fd) {
			return writer.output().continue_in(std::move(fd));
		});
		if (continued && !writer.output().is_continued())
			format->begin(writer.text());
		return continued;
	};
	auto flows = reopen_one(flows_, flow_format_);
	auto packets = packets_ ? reopen_one(*packets_, packet_format_) : Result<void>{};
	return flows ? packets : flows;
}

Totals RecordWriters::totals() const
{
	Totals totals = totals_;
	totals.unwritten = flows_.unwritten() + (packets_ ? packets_->unwritten() : 0);
	return totals;
}

} // namespace tcpwin
