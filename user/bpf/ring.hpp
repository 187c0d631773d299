// SPDX-License-Identifier: Apache-2.0
// A BPF ring buffer whose records stay in it until they are committed, so that an agent killed between reading a
// record and writing it to disk leaves it to the next one. libbpf's reader frees each record as it hands it over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/error.hpp"

namespace tcpwin {

// One reader at a time. The program wakes who waits for fd() only with a record that lies at the consumer position,
// that is, after all else has been committed; and epoll asks the map again only after a wake-up or while it was
// readable. So before waiting:
//
//     do {
//         ring.read(take);
//         ... write what was taken ...
//         ring.commit();
//     } while (ring.pending());
class RingReader {
public:
	// map_fd stays the caller's and has to stay open.
	static Result<RingReader> open(int map_fd);

	// Hands over the records after the last one handed over, as std::span<const std::uint8_t> that are valid until
	// they are committed. Stops at one that is still being written, skips discarded ones. Returns how many.
	template <typename Take> std::size_t read(Take &&take)
	{
		std::size_t count = 0;
		while (auto record = next()) {
			take(*record);
			count++;
		}
		return count;
	}

	// After the last record handed over.
	unsigned long position() const { return read_; }
	// Records up to this position were dealt with by an earlier reader that could not commit them. False: they are not
	// among those that would be handed over.
	bool skip_to(unsigned long position);

	// Gives back the space of what was handed over; until then a new reader gets it again.
	void commit();

	// Readable while there is something after the consumer position, thus before a commit as well.
	int fd() const { return map_fd_; }
	// Whether read would get on. What is still being written wakes the waiting when it is done.
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
	Mapping producer_; // its position, then the data twice in a row, so that no record is in two pieces
	const std::uint8_t *data_ = nullptr;
	unsigned long mask_ = 0;
	unsigned long read_ = 0; // position after the last record handed over
};

} // namespace tcpwin
