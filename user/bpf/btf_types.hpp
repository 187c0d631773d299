// SPDX-License-Identifier: Apache-2.0
// Wrappers of libbpf's BTF types, shared by btf.cpp and struct_reader.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bpf/btf.h>
#include <fmt/format.h>

#include "base/error.hpp"

namespace tcpwin {

// A type without its typedefs and qualifiers.
struct BtfType {
	const btf *types;
	std::uint32_t id;
	const btf_type *type;

	BtfType(const btf *all, std::uint32_t any_id)
		: types(all), id(static_cast<std::uint32_t>(std::max(0, btf__resolve_type(all, any_id)))),
		  type(btf__type_by_id(all, id))
	{
	}

	bool is_integer() const { return btf_is_int(type) || btf_is_any_enum(type); }
	bool is_signed() const { return btf_is_int(type) ? btf_int_encoding(type) & BTF_INT_SIGNED : btf_kflag(type); }
	std::size_t size() const { return static_cast<std::size_t>(btf__resolve_size(types, id)); }
	BtfType element() const { return {types, btf_array(type)->type}; }
	std::uint32_t elements() const { return btf_array(type)->nelems; }
	std::string_view name() const { return name_at(type->name_off); }
	std::string_view name_at(std::uint32_t offset) const { return btf__name_by_offset(types, offset); }
};

struct BtfMember {
	std::string_view name;
	BtfType type;
	std::size_t offset; // bytes
};

// Without unnamed members and bit-fields.
inline std::vector<BtfMember> members(const BtfType &of)
{
	std::vector<BtfMember> all;
	for (std::uint32_t i = 0; i < btf_vlen(of.type); i++) {
		const btf_member &member = btf_members(of.type)[i];
		std::string_view name = of.name_at(member.name_off);
		if (!name.empty() && btf_member_bitfield_size(of.type, i) == 0)
			all.push_back({name, {of.types, member.type}, btf_member_bit_offset(of.type, i) / 8});
	}
	return all;
}

struct BtfEnumerator {
	std::string_view name;
	std::uint64_t value;
};

inline std::vector<BtfEnumerator> enumerators(const BtfType &of)
{
	std::vector<BtfEnumerator> all;
	all.reserve(btf_vlen(of.type));
	for (std::uint32_t i = 0; i < btf_vlen(of.type); i++)
		all.push_back({of.name_at(btf_enum(of.type)[i].name_off),
			       static_cast<std::uint64_t>(btf_enum(of.type)[i].val)});
	return all;
}

// kind: BTF_KIND_STRUCT, ...
inline std::optional<BtfType> find_type(const btf *types, const std::string &name, std::uint32_t kind)
{
	int id = btf__find_by_name_kind(types, name.c_str(), kind);
	if (id < 0)
		return std::nullopt;
	return BtfType(types, static_cast<std::uint32_t>(id));
}

// The error for a type that one side lacks. theirs: the other agent's maps lack it.
inline tl::unexpected<Error> missing_type(std::string_view kind, const std::string &name, bool theirs)
{
	return fail("cannot read the maps of another version of the agent",
		    fmt::format("the type information {} has no {} {}", theirs ? "of the maps" : "of this agent", kind,
				name));
}

} // namespace tcpwin
