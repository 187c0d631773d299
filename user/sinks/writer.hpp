// SPDX-License-Identifier: Apache-2.0
// A buffer of records in front of an output.
#pragma once

#include <cstdint>

#include <fmt/format.h>

#include "sinks/output.hpp"

namespace tcpwin {

class Writer {
public:
	explicit Writer(Output output) : output_(std::move(output)) {}

	const Output &output() const { return output_; }
	Output &output() { return output_; }
	// The buffer, to append text that is not a record.
	fmt::memory_buffer &text() { return buffer_; }
	// The buffer, to append one more record.
	fmt::memory_buffer &record()
	{
		records_in_buffer_++;
		return buffer_;
	}
	// Records that could not be written. After the first failure nothing more is written.
	std::uint64_t unwritten() const { return unwritten_; }

	std::size_t waiting_bytes() const { return buffer_.size(); }
	bool is_large() const { return buffer_.size() >= large; }
	// Writes the buffer.
	Result<void> flush(Signals &signals);
	// Writes the buffer if it is large, to bound memory use between two calls of flush.
	Result<void> flush_if_large(Signals &signals);

private:
	static constexpr std::size_t large = 512 * 1024;

	Output output_;
	fmt::memory_buffer buffer_;
	std::uint64_t records_in_buffer_ = 0;
	std::uint64_t unwritten_ = 0;
	bool failed_ = false;
};

} // namespace tcpwin
