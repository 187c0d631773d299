// SPDX-License-Identifier: Apache-2.0
// Type information (BTF) of BPF objects: of the maps of any agent, and of this agent's object.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/error.hpp"

struct btf;

namespace tcpwin {

struct FreeBtf {
	void operator()(btf *types) const;
};
using BtfPtr = std::unique_ptr<btf, FreeBtf>;

// The types of the object that created the map. Ring buffers have none: use a hash or array map of the same object.
// Needs CAP_SYS_ADMIN.
Result<BtfPtr> map_btf(int map_fd);
// The types of the object that is built into this agent.
Result<BtfPtr> own_btf();

// Offset in bytes of a global variable in the value of its map (.data, .bss, ...).
Result<std::size_t> variable_offset(const btf *types, const std::string &name);

// Whether both have a struct of this name, with the same members of the same sizes at the same offsets.
bool has_same_struct(const btf *theirs, const btf *ours, const std::string &name);

} // namespace tcpwin
