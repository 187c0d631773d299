// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "capture/frame.hpp"
#include "capture/interruptions.hpp"

namespace tcpwin {

// Reads a capture file: pcap or pcapng, optionally compressed (gzip, zstd, xz, ..., detected by content).
class CaptureReader {
public:
	// path: "-" is standard input. Error: the file does not exist, may not be read, or is a directory.
	static Result<void> check(const std::string &path);

	// filter: a pcap-filter(7) expression, or empty. interruptions: null, or outlives the reader. Errors name the file
	// and what is wrong with it.
	static Result<CaptureReader> open(const std::string &path, const std::string &filter,
					  const Interruptions *interruptions = nullptr);

	CaptureReader(CaptureReader &&) noexcept;
	CaptureReader &operator=(CaptureReader &&) noexcept;
	~CaptureReader();

	// The next frame that passes the filter; nullopt at the end of the file. Frame numbers count all frames of the file,
	// whether they pass the filter or not; after an error, number() is the last frame that was read completely.
	Result<std::optional<Frame>> next();
	std::uint64_t number() const;

	// Bytes read of the file, before decompression, and its size in bytes (0: unknown).
	std::uint64_t position() const;
	std::uint64_t size() const;

private:
	struct State;
	explicit CaptureReader(std::unique_ptr<State> state);
	std::unique_ptr<State> state_;
};

} // namespace tcpwin
