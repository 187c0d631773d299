// SPDX-License-Identifier: Apache-2.0
// Reads a BPF ring buffer. Records stay in it until they are committed, so that the next agent finds those that a killed
// agent had read but not written to disk. libbpf's reader, in contrast, frees each record after its callback.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/error.hpp"

namespace tcpwin {

// One reader at a time. A program wakes the waiter on fd() only when it submits the record at the consumer position, that
// is, when everything before it has been committed; and epoll checks the map again only after a wake-up or while it was
// readable. So, before waiting:
//
//     do {
//         ring.read(take);
//         ... write what was taken ...
//         ring.commit();
//     } while (ring.pending());
class RingReader {
public:
	// map_fd belongs to the caller and has to stay open.
	static Result<RingReader> open(int map_fd);

	// Calls take(std::span<const std::uint8_t>) for each record that was not passed on before; the bytes are valid
	// until they are committed. Skips discarded records and stops at one that is still being written. Returns the
	// number of records.
	template <typename Take> std::size_t read(Take &&take)
	{
		std::size_t count = 0;
		while (auto record = next()) {
			take(*record);
			count++;
		}
		return count;
	}

	// Position after the last record passed on.
	unsigned long position() const { return read_; }
	// Commits the records up to this position, which an earlier reader processed but could not commit. False: the
	// position is not among the records still to be read.
	bool skip_to(unsigned long position);

	// Frees the records that were passed on; until then a new reader gets them again.
	void commit();

	// Readable while there is data after the consumer position, hence also before a commit.
	int fd() const { return map_fd_; }
	// Whether read() would find a record. A record still being written causes a wake-up when it is submitted.
	bool pending() const;

private:
	struct Unmap {
		std::size_t size;
		void operator()(void *memory) const;
	};
	using Mapping = std::unique_ptr<void, Unmap>;

	RingReader() = default;
	Result<void> map(std::size_t size);
	const std::uint8_t *at(unsigned long position) const;
	std::optional<std::span<const std::uint8_t>> next();

	int map_fd_ = -1;
	Mapping consumer_; // its position
	Mapping producer_; // its position, then the data twice in a row, so that no record is split
	const std::uint8_t *data_ = nullptr;
	unsigned long mask_ = 0;
	unsigned long read_ = 0; // position after the last record passed on
};

} // namespace tcpwin
