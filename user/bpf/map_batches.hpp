// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <bpf/bpf.h>

#include "base/error.hpp"

namespace tcpwin {

using Bytes = std::span<const std::uint8_t>;

// Reads the entries of a hash map in batches.
class Batches {
public:
	static constexpr std::uint32_t batch_entries =
		4096; // far above the size of any bucket, which is read as a whole

	Batches(int map_fd, std::size_t key_size, std::size_t value_size)
		: map_fd_(map_fd), key_size_(key_size), value_size_(value_size), keys_(batch_entries * key_size),
		  values_(batch_entries * value_size), place_(std::max(key_size, sizeof(std::uint32_t)))
	{
	}

	// Reads the next batch. False: it was the last; the next call starts over.
	Result<bool> next()
	{
		count_ = batch_entries;
		const int error = bpf_map_lookup_batch(map_fd_, begun_ ? place_.data() : nullptr, place_.data(),
						       keys_.data(), values_.data(), &count_, nullptr);
		begun_ = !error;
		if (error && error != -ENOENT) // ENOENT: the end, with the last entries
			return fail("cannot read the flow table of the last agent", describe_errno(error));
		return begun_;
	}

	std::size_t count() const { return count_; }
	Bytes key(std::size_t i) const { return {&keys_[i * key_size_], key_size_}; }
	Bytes value(std::size_t i) const { return {&values_[i * value_size_], value_size_}; }
	// Reads the current value of an entry; false: the entry was deleted.
	bool read_again(std::size_t i)
	{
		return bpf_map_lookup_elem(map_fd_, &keys_[i * key_size_], &values_[i * value_size_]) == 0;
	}

private:
	int map_fd_;
	std::size_t key_size_, value_size_;
	std::vector<std::uint8_t> keys_, values_, place_;
	std::uint32_t count_ = 0;
	bool begun_ = false;
};

// Calls take(Bytes key, Bytes value) for each entry.
inline Result<void> for_each_entry(int map_fd, std::size_t key_size, std::size_t value_size, const auto &take)
{
	Batches batches(map_fd, key_size, value_size);
	for (bool more = true; more;) {
		more = TRY(batches.next());
		for (std::size_t i = 0; i < batches.count(); i++)
			take(batches.key(i), batches.value(i));
	}
	return {};
}

} // namespace tcpwin
