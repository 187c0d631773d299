// SPDX-License-Identifier: Apache-2.0
// The outputs that the options ask for: flow records and, if wanted, packet records.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "record/report.hpp"
#include "record/stats.hpp"
#include "sinks/format.hpp"
#include "sinks/writer.hpp"

namespace tcpwin {

struct FlowOutputOptions {
	std::string path = "-"; // - for standard output
	Format format = Format::json;
	std::optional<std::uint16_t> community_id_seed = 0; // none: records without community_id
};

struct OutputOptions {
	FlowOutputOptions flows;
	std::string packets;      // file for packet records, - for standard output, or empty
	std::string summary;      // file for the end report as JSON, or empty
	bool alarms_only = false; // only flow records that raised an alarm
	bool append = false;      // to files that exist
};

class RecordWriters final : public UnansweredFlows::Observer {
public:
	static Result<RecordWriters> open(const OutputOptions &options);

	void flow(const FlowRecord &record)
	{
		totals_.add(record);
		if ((!alarms_only_ || record.has_alarm()) && flow_format_->takes(record))
			flow_format_->flow(record, flows_.record());
	}
	void alarm(const AlarmRecord &record);
	void on_unanswered(const UnansweredRecord &record) override;
	void on_syn_flood(const SynFloodAlarm &alarm) override;
	void stats(const Stats &stats) { flow_format_->stats(stats, flows_.text()); }
	void packet(const PacketRecord &record) { packet_format_->packet(record, packets_->record()); }

	bool wants_summary() const { return summary_.has_value(); }
	Result<void> write_summary(const Summary &summary, Signals &signals);

	Result<void> flush(Signals &signals);
	// Whether it should be flushed, to bound memory use.
	bool is_large() const { return flows_.is_large() || (packets_ && packets_->is_large()); }
	Result<void> flush_if_large(Signals &signals);

	// Opens a path for appending.
	using OpenFile = std::function<Result<UniqueFd>(const std::string &path)>;
	// To be called after a flush. Closes files that were moved away and continues with the files that now have their names,
	// created if missing. Error: at least one could not be opened; its old file stays in use.
	Result<void> reopen(const OpenFile &open);

	const Output &flow_output() const { return flows_.output(); }
	Output &flow_output() { return flows_.output(); }
	// Of flow records that are not written yet.
	std::size_t waiting_flow_bytes() const { return flows_.waiting_bytes(); }
	// A file descriptor whose POLLERR means that the reader of the flows is gone, or -1.
	int watched_fd() const { return flows_.output().has_reader() ? flows_.output().fd() : -1; }
	// Of all records, written or not.
	Totals totals() const;

private:
	RecordWriters(Writer flows, std::optional<Writer> packets, std::optional<Output> summary,
		      const OutputOptions &options);

	Writer flows_;
	std::optional<Writer> packets_;
	std::optional<Output> summary_;
	std::unique_ptr<FlowFormat> flow_format_;
	std::unique_ptr<PacketFormat> packet_format_;
	bool alarms_only_;
	Totals totals_;
};

} // namespace tcpwin
