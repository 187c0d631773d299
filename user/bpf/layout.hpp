// SPDX-License-Identifier: Apache-2.0
// Structs as another version of the agent laid them out, read by the type information (BTF) that its maps carry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"

struct btf;

namespace tcpwin {

struct FreeBtf {
	void operator()(btf *types) const;
};
using BtfPtr = std::unique_ptr<btf, FreeBtf>;

// Of the object that made the map. Ring buffers carry none: ask for that of a hash or array of the same object.
// The kernel gives it only to CAP_SYS_ADMIN.
Result<BtfPtr> map_btf(int map_fd);
// Of the object that is built into this agent.
Result<BtfPtr> own_btf();

// Where a global variable lies in the value of its map (.data, .bss, ...).
Result<std::size_t> variable_offset(const btf *types, const std::string &name);

// Both have a struct of this name, and the same members of the same sizes at the same places in it.
bool has_same_struct(const btf *theirs, const btf *ours, const std::string &name);

// From a struct of theirs to ours of the same name, member by member, by name. Integers of another width are converted
// as C does it, arrays go element by element, structs member by member. A member is zero in ours if theirs has none of
// that name, nor under a former one, or has it as something else (a struct or an array where ours is a number), and if it has no name or is a
// pointer, a union or a bit-field.
class StructReader {
public:
	// Error: one side has no such struct. index_enum, if the struct has arrays that an enumeration indexes: its
	// name, so that elements are found by the names of their enumerators.
	static Result<StructReader> create(const btf *theirs, const btf *ours, const std::string &struct_name,
					   const std::string &index_enum = {});

	// Of theirs.
	std::size_t size() const { return size_; }
	// theirs: size() bytes. ours: the whole struct is written.
	void read(std::span<const std::uint8_t> theirs, void *ours) const;

private:
	// Bytes that are equal in both if the sizes are, else an integer.
	struct Step {
		std::size_t from;
		std::size_t to;
		std::size_t from_size;
		std::size_t to_size;
		bool is_signed;
	};
	class Matcher;

	std::vector<Step> steps_;
	std::size_t size_ = 0;
	std::size_t our_size_ = 0;
};

} // namespace tcpwin
