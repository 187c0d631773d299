// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "capture/interruptions.hpp"
#include "base/error.hpp"
#include "capture/frame.hpp"

namespace tcpwin {

// A capture file: pcap or pcapng, also compressed (gzip, zstd, xz, ..., told by content), "-" for standard input.
class CaptureReader {
public:
	// Whether there is such a file, it may be read, and is no directory.
	static Result<void> check(const std::string &path);

	// filter: a pcap-filter(7) expression, or empty. interruptions, if not null, outlive
	// it. Errors name the file and what is wrong with it.
	static Result<CaptureReader> open(const std::string &path, const std::string &filter,
					  const Interruptions *interruptions = nullptr);

	CaptureReader(CaptureReader &&) noexcept;
	CaptureReader &operator=(CaptureReader &&) noexcept;
	~CaptureReader();

	// The next frame that passes the filter, nothing at the end of the file. Frame
	// numbers count the file's frames, filtered or not; after an error, number()
	// were read whole.
	Result<std::optional<Frame>> next();
	std::uint64_t number() const;

	// Bytes read of the file as it lies on the disk, and its size (0: unknown).
	std::uint64_t position() const;
	std::uint64_t size() const;

private:
	struct State;
	explicit CaptureReader(std::unique_ptr<State> state);
	std::unique_ptr<State> state_;
};

} // namespace tcpwin
