// SPDX-License-Identifier: Apache-2.0
#include "bpf/struct_reader.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include <bpf/btf.h>

#include "bpf/btf_types.hpp"

namespace tcpwin {
namespace {

// Address of the low-order bytes of an integer.
std::uint8_t *low_bytes(std::uint64_t &value, std::size_t size)
{
	auto *bytes = reinterpret_cast<std::uint8_t *>(&value);
	return std::endian::native == std::endian::big ? bytes + sizeof(value) - size : bytes;
}

std::uint64_t load_integer(const std::uint8_t *from, std::size_t size, bool is_signed)
{
	std::uint64_t value = 0;
	std::memcpy(low_bytes(value, size), from, size);
	if (!is_signed)
		return value;
	const std::size_t unused_bits = 8 * (sizeof(value) - size);
	return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused_bits) >> unused_bits);
}

// Members that layouts up to 3 had under another name.
struct FormerName {
	std::string_view struct_name, former, member;
};
constexpr FormerName former_names[] = {
	{"tcpwin_flow", "word", "seq"},
	{"tcpwin_progress", "known", "flags"},
	{"tcpwin_analysis", "facts", "flags"},
};

// The member of this name, or of a former one. Null: there is none.
const BtfMember *find_member(const std::vector<BtfMember> &all, std::string_view struct_name, std::string_view name)
{
	auto found = std::ranges::find(all, name, &BtfMember::name);
	for (const FormerName &one : former_names)
		if (found == all.end() && one.struct_name == struct_name && one.member == name)
			found = std::ranges::find(all, one.former, &BtfMember::name);
	return found == all.end() ? nullptr : &*found;
}

} // namespace

// Pairs the members of their struct with ours, and collects the steps that copy one to the other.
class StructReader::Matcher {
public:
	using Indices = std::vector<std::pair<std::size_t, std::size_t>>; // in their array and in ours

	Matcher(std::vector<Step> &steps, std::optional<Indices> indices) : steps_(steps), indices_(std::move(indices))
	{
	}

	void match_members(const BtfType &theirs, std::size_t from, const BtfType &ours, std::size_t to)
	{
		const std::vector<BtfMember> their_members = members(theirs);
		for (const BtfMember &our : members(ours))
			if (const BtfMember *their = find_member(their_members, ours.name(), our.name))
				match(their->type, from + their->offset, our.type, to + our.offset);
	}

private:
	void match(const BtfType &theirs, std::size_t from, const BtfType &ours, std::size_t to)
	{
		if (btf_is_struct(theirs.type) && btf_is_struct(ours.type))
			match_members(theirs, from, ours, to);
		else if (btf_is_array(theirs.type) && btf_is_array(ours.type))
			match_elements(theirs, from, ours, to);
		else if (theirs.is_integer() && ours.is_integer())
			add({from, to, theirs.size(), ours.size(), theirs.is_signed()});
	}

	void match_elements(const BtfType &theirs, std::size_t from, const BtfType &ours, std::size_t to)
	{
		const BtfType their = theirs.element(), our = ours.element();
		const std::size_t their_size = their.size(), our_size = our.size();
		for (auto [their_index, our_index] : indices_ ? *indices_ : same_indices(theirs.elements()))
			if (their_index < theirs.elements() && our_index < ours.elements())
				match(their, from + their_index * their_size, our, to + our_index * our_size);
	}

	static Indices same_indices(std::size_t count)
	{
		Indices indices;
		for (std::size_t i = 0; i < count; i++)
			indices.emplace_back(i, i);
		return indices;
	}

	// Neighbouring bytes that are equal in both layouts become one step.
	void add(const Step &step)
	{
		const bool is_copy = step.from_size == step.to_size;
		if (!is_copy && std::max(step.from_size, step.to_size) > sizeof(std::uint64_t))
			return;
		if (is_copy && !steps_.empty() && follows(step, steps_.back())) {
			steps_.back().from_size += step.from_size;
			steps_.back().to_size += step.to_size;
		} else {
			steps_.push_back(step);
		}
	}

	static bool follows(const Step &step, const Step &last)
	{
		return last.from_size == last.to_size && last.from + last.from_size == step.from &&
		       last.to + last.to_size == step.to;
	}

	std::vector<Step> &steps_;
	std::optional<Indices> indices_;
};

Result<StructReader> StructReader::create(const btf *theirs, const btf *ours, const std::string &struct_name,
					  const std::string &index_enum)
{
	std::optional<Matcher::Indices> indices;
	if (!index_enum.empty()) {
		auto their_enum = find_type(theirs, index_enum, BTF_KIND_ENUM);
		auto our_enum = find_type(ours, index_enum, BTF_KIND_ENUM);
		if (!their_enum || !our_enum)
			return missing_type("enum", index_enum, !their_enum);
		indices.emplace();
		for (const BtfEnumerator &our : enumerators(*our_enum))
			for (const BtfEnumerator &their : enumerators(*their_enum))
				if (our.name == their.name)
					indices->emplace_back(their.value, our.value);
	}
	auto their_struct = find_type(theirs, struct_name, BTF_KIND_STRUCT);
	auto our_struct = find_type(ours, struct_name, BTF_KIND_STRUCT);
	if (!their_struct || !our_struct)
		return missing_type("struct", struct_name, !their_struct);

	StructReader reader;
	reader.size_ = their_struct->size();
	reader.our_size_ = our_struct->size();
	Matcher(reader.steps_, std::move(indices)).match_members(*their_struct, 0, *our_struct, 0);
	return reader;
}

void StructReader::read(std::span<const std::uint8_t> theirs, void *ours) const
{
	auto *to = static_cast<std::uint8_t *>(ours);
	std::memset(to, 0, our_size_);
	for (const Step &step : steps_) {
		const std::uint8_t *from = theirs.data() + step.from;
		if (step.from_size == step.to_size) {
			std::memcpy(to + step.to, from, step.from_size);
			continue;
		}
		std::uint64_t value = load_integer(from, step.from_size, step.is_signed);
		std::memcpy(to + step.to, low_bytes(value, step.to_size), step.to_size);
	}
}

} // namespace tcpwin
