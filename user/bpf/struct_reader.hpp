// SPDX-License-Identifier: Apache-2.0
// Reads structs in the layout of another version of the agent, using the type information of its maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"

struct btf;

namespace tcpwin {

// Converts a struct of another layout to ours of the same name, member by member, by name. Integers of another width are
// converted as in C, arrays element by element, structs member by member. A member of ours is zero if theirs has no
// member of that name or one of another kind (a struct or an array instead of a number), or if it has no name or is a
// pointer, a union or a bit-field.
class StructReader {
public:
	// Error: one side has no such struct. index_enum: the name of an enumeration that indexes the arrays of the
	// struct; their elements are then matched by the names of the enumerators. Empty: by position.
	static Result<StructReader> create(const btf *theirs, const btf *ours, const std::string &struct_name,
					   const std::string &index_enum = {});

	// Of their struct, in bytes.
	std::size_t size() const { return size_; }
	// theirs: size() bytes. ours: our struct, which is written as a whole.
	void read(std::span<const std::uint8_t> theirs, void *ours) const;

private:
	// Sizes are equal: bytes to copy. Otherwise: an integer to convert.
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
