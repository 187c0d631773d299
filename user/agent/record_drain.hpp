// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "agent/interfaces.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "bpf/program.hpp"
#include "sinks/outputs.hpp"

namespace tcpwin {

// Moves records from the ring buffers to the outputs.
class RecordDrain {
public:
	// The references must outlive this object.
	RecordDrain(Program &program, RecordWriters &writers, const Interfaces &interfaces, Signals &signals,
		    bool persistent)
		: program_(program), writers_(writers), interfaces_(interfaces), signals_(signals),
		  persistent_(persistent)
	{
	}

	// Writes all records in the ring buffers.
	Result<void> write_records();
	// Writes and commits the records passed to the writers. After an error, a persistent agent leaves them in the
	// ring buffer for the next agent.
	Result<void> flush();
	// Whether any write has failed so far.
	bool has_failed() const { return failed_; }

private:
	void announce();

	Program &program_;
	RecordWriters &writers_;
	const Interfaces &interfaces_;
	Signals &signals_;
	bool persistent_;
	bool failed_ = false;
	std::uint64_t packets_reported_ = 0;
};

} // namespace tcpwin
