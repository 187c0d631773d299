// SPDX-License-Identifier: Apache-2.0
// The outputs that the options ask for: flow records, and packet records if wanted.
#pragma once

#include <memory>
#include <optional>

#include "agent/reopen_helper.hpp"
#include "cli/options.hpp"
#include "record/report.hpp"
#include "sinks/format.hpp"
#include "sinks/writer.hpp"
#include "record/stats.hpp"

namespace tcpwin {

class RecordWriters {
public:
	static Result<RecordWriters> open(const CommonOptions &options);

	void flow(const FlowRecord &record)
	{
		totals_.add(record);
		if ((!alarms_only_ || record.has_alarm()) && flow_format_->takes(record))
			flow_format_->flow(record, flows_.record());
	}
	void alarm(const AlarmRecord &record);
	void stats(const Stats &stats) { flow_format_->stats(stats, flows_.text()); }
	void packet(const PacketRecord &record) { packet_format_->packet(record, packets_->record()); }

	Result<void> flush(Signals &signals);
	// Worth a flush, which bounds the memory.
	bool is_large() const { return flows_.is_large() || (packets_ && packets_->is_large()); }
	Result<void> flush_if_large(Signals &signals);

	// Everything was written. Files that were moved away are left, and those that have their names now, or that are made,
	// are gone on with. Error: at least one could not be opened, and the old one is still written.
	Result<void> reopen(FileOpener &opener);

	const Output &flow_output() const { return flows_.output(); }
	Output &flow_output() { return flows_.output(); }
	// Of flow records that were not written yet.
	std::size_t waiting_flow_bytes() const { return flows_.waiting_bytes(); }
	// A file descriptor whose POLLERR tells that the reader of the flows has gone, or -1.
	int watched_fd() const { return flows_.output().has_reader() ? flows_.output().fd() : -1; }
	// Written or not.
	Totals totals() const;

private:
	RecordWriters(Writer flows, std::optional<Writer> packets, const CommonOptions &options);

	Writer flows_;
	std::optional<Writer> packets_;
	std::unique_ptr<FlowFormat> flow_format_;
	std::unique_ptr<PacketFormat> packet_format_;
	bool alarms_only_;
	Totals totals_;
};

} // namespace tcpwin
