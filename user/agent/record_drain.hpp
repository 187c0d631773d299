// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "agent/interfaces.hpp"
#include "attribution/attribution.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "bpf/program.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// Moves records from the ring buffers to the outputs.
class RecordDrain {
public:
	// The references must outlive this object. attribution: null for none.
	RecordDrain(Program &program, RecordWriters &writers, const Interfaces &interfaces, Signals &signals,
		    Attribution *attribution, bool persistent)
		: program_(program), writers_(writers), interfaces_(interfaces), signals_(signals),
		  attribution_(attribution), persistent_(persistent)
	{
		if (const auto counters = program.counters())
			unanswered_.begin(*counters);
	}

	// Writes all records in the ring buffers.
	Result<void> write_records();
	// Writes and commits the records passed to the writers. After an error, a persistent agent leaves them in the
	// ring buffer for the next agent.
	Result<void> flush();
	// To be called at intervals: writes the summary of unanswered flows of a second that has passed.
	Result<void> pass_time();
	// To be called when no records will come any more: passes the last summary to the writers.
	void finish();
	// Whether any write has failed so far.
	bool has_failed() const { return failed_; }

private:
	void announce();
	Locals locals_of(const tcpwin_record &record);
	Locals locals_of(const tcpwin_alarm &alarm);

	Program &program_;
	RecordWriters &writers_;
	const Interfaces &interfaces_;
	Signals &signals_;
	Attribution *attribution_;
	bool persistent_;
	UnansweredFlows unanswered_{writers_};
	bool failed_ = false;
	std::uint64_t packets_reported_ = 0;
};

} // namespace tcpwin
