// SPDX-License-Identifier: Apache-2.0
// Flows by key, live or ended. Slots never move: the number of a slot identifies it.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <tcpwin/flow.h>

namespace tcpwin {

class FlowTable {
public:
	struct Slot {
		tcpwin_key key;
		tcpwin_flow flow;     // id 0: the slot is free
		std::uint64_t due_ns; // when the flow is examined next
		bool ended;           // its record has been made
	};

	FlowTable() : index_(1024) {}

	Slot &slot(std::uint32_t number) { return chunks_[number / chunk_size][number % chunk_size]; }

	// The flow's slot, or none.
	static constexpr std::uint32_t none = UINT32_MAX;
	std::uint32_t find(const tcpwin_key &key, std::uint32_t key_hash)
	{
		for (std::size_t i = key_hash & mask();; i = (i + 1) & mask()) {
			const Cell cell = index_[i];
			if (cell.slot == none)
				return none;
			if (cell.key_hash == key_hash && std::memcmp(&slot(cell.slot).key, &key, sizeof(key)) == 0)
				return cell.slot;
		}
	}

	// A slot for a key that is not in the table; the caller initializes its flow.
	std::uint32_t insert(const tcpwin_key &key, std::uint32_t key_hash)
	{
		if ((size_ + 1) * 2 > index_.size())
			grow();
		const std::uint32_t number = take_slot();
		slot(number).key = key;
		put({key_hash, number});
		size_++;
		return number;
	}

	// Backward-shift deletion: no tombstones, so lookups stay short.
	void erase(std::uint32_t number)
	{
		Slot &gone = slot(number);
		std::size_t hole = tcpwin_hash_key(&gone.key) & mask();
		while (index_[hole].slot != number)
			hole = (hole + 1) & mask();
		for (std::size_t i = (hole + 1) & mask(); index_[i].slot != none; i = (i + 1) & mask()) {
			const std::size_t home = index_[i].key_hash & mask();
			if (((i - home) & mask()) < ((i - hole) & mask()))
				continue;
			index_[hole] = index_[i];
			hole = i;
		}
		index_[hole].slot = none;
		gone.flow.id = 0;
		free_.push_back(number);
		size_--;
	}

	std::size_t size() const { return size_; }

	// visit(slot, number), for the slots in use.
	template <typename Visit> void for_each(Visit visit)
	{
		for (std::uint32_t number = 0; number < used_; number++)
			if (slot(number).flow.id)
				visit(slot(number), number);
	}

	template <typename Predicate> void erase_if(Predicate predicate)
	{
		for_each([&](const Slot &slot, std::uint32_t number) {
			if (predicate(slot))
				erase(number);
		});
	}

private:
	struct Cell {
		std::uint32_t key_hash = 0;
		std::uint32_t slot = none;
	};
	static constexpr std::uint32_t chunk_size = 4096;

	std::size_t mask() const { return index_.size() - 1; }

	void put(Cell cell)
	{
		std::size_t i = cell.key_hash & mask();
		while (index_[i].slot != none)
			i = (i + 1) & mask();
		index_[i] = cell;
	}

	void grow()
	{
		std::vector<Cell> old(index_.size() * 2);
		old.swap(index_);
		for (const Cell &cell : old)
			if (cell.slot != none)
				put(cell);
	}

	std::uint32_t take_slot()
	{
		if (!free_.empty()) {
			const std::uint32_t number = free_.back();
			free_.pop_back();
			return number;
		}
		if (used_ == chunks_.size() * chunk_size)
			chunks_.push_back(std::make_unique_for_overwrite<Slot[]>(chunk_size));
		return used_++;
	}

	std::vector<Cell> index_; // a power of two, at most half full
	std::vector<std::unique_ptr<Slot[]>> chunks_;
	std::vector<std::uint32_t> free_;
	std::uint32_t used_ = 0;
	std::size_t size_ = 0;
};

} // namespace tcpwin
