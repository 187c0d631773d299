// SPDX-License-Identifier: Apache-2.0
#include "bpf/layout.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <tcpwin/types.h> // for the skeleton
#include <tcpwin.skel.h>

namespace tcpwin {
namespace {

// A type of either side, without its typedefs and qualifiers.
struct Type {
	const btf *types;
	std::uint32_t id;
	const btf_type *type;

	Type(const btf *all, std::uint32_t any_id)
		: types(all), id(static_cast<std::uint32_t>(std::max(0, btf__resolve_type(all, any_id)))),
		  type(btf__type_by_id(all, id))
	{
	}

	bool is_integer() const { return btf_is_int(type) || btf_is_any_enum(type); }
	bool is_signed() const { return btf_is_int(type) ? btf_int_encoding(type) & BTF_INT_SIGNED : btf_kflag(type); }
	std::size_t size() const { return static_cast<std::size_t>(btf__resolve_size(types, id)); }
	Type element() const { return {types, btf_array(type)->type}; }
	std::uint32_t elements() const { return btf_array(type)->nelems; }
	std::string_view name() const { return name_at(type->name_off); }
	std::string_view name_at(std::uint32_t offset) const { return btf__name_by_offset(types, offset); }
};

struct Member {
	std::string_view name;
	Type type;
	std::size_t offset;
};

std::vector<Member> members(const Type &of)
{
	std::vector<Member> all;
	for (std::uint32_t i = 0; i < btf_vlen(of.type); i++) {
		const btf_member &member = btf_members(of.type)[i];
		std::string_view name = of.name_at(member.name_off);
		if (!name.empty() && btf_member_bitfield_size(of.type, i) == 0)
			all.push_back({name, {of.types, member.type}, btf_member_bit_offset(of.type, i) / 8});
	}
	return all;
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

// Member `name` of the struct, which may have its former name. Null: there is none.
const Member *find_member(const std::vector<Member> &all, std::string_view struct_name, std::string_view name)
{
	auto found = std::ranges::find(all, name, &Member::name);
	for (const FormerName &one : former_names)
		if (found == all.end() && one.struct_name == struct_name && one.member == name)
			found = std::ranges::find(all, one.former, &Member::name);
	return found == all.end() ? nullptr : &*found;
}

struct Enumerator {
	std::string_view name;
	std::uint64_t value;
};

std::vector<Enumerator> enumerators(const Type &of)
{
	std::vector<Enumerator> all;
	for (std::uint32_t i = 0; i < btf_vlen(of.type); i++)
		all.push_back({of.name_at(btf_enum(of.type)[i].name_off),
			       static_cast<std::uint64_t>(btf_enum(of.type)[i].val)});
	return all;
}

std::optional<Type> find(const btf *types, const std::string &name, std::uint32_t kind)
{
	int id = btf__find_by_name_kind(types, name.c_str(), kind);
	if (id < 0)
		return std::nullopt;
	return Type(types, static_cast<std::uint32_t>(id));
}

// Where the low bytes of an integer lie.
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

tl::unexpected<Error> missing(std::string_view kind, const std::string &name, bool theirs)
{
	return fail("cannot read the maps of another version of the agent",
		    fmt::format("the type information {} has no {} {}", theirs ? "that they carry" : "of this one",
				kind, name));
}

} // namespace

void FreeBtf::operator()(btf *types) const
{
	btf__free(types);
}

Result<BtfPtr> map_btf(int map_fd)
{
	bpf_map_info info{};
	__u32 info_size = sizeof(info);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &info_size) != 0)
		return fail("cannot read the types of a map", describe_errno(errno));
	if (info.btf_id == 0)
		return fail(fmt::format("cannot read the types of map {}", info.name), "it carries none");
	if (BtfPtr types{btf__load_from_kernel_by_id(info.btf_id)})
		return types;
	const int error = errno;
	return fail(fmt::format("cannot read the types of map {}", info.name), describe_errno(error),
		    error == EPERM ? "run as root, or with CAP_SYS_ADMIN" : "",
		    error == EPERM ? Exit::no_permission : Exit::failure);
}

Result<BtfPtr> own_btf()
{
	std::unique_ptr<tcpwin_bpf, decltype(&tcpwin_bpf__destroy)> object(tcpwin_bpf__open(), tcpwin_bpf__destroy);
	if (!object)
		return fail("cannot read the agent's own types", describe_errno(errno));
	__u32 size = 0; // the object frees its types when it is closed
	const void *data = btf__raw_data(bpf_object__btf(object->obj), &size);
	if (BtfPtr types{data ? btf__new(data, size) : nullptr})
		return types;
	return fail("cannot read the agent's own types", describe_errno(errno));
}

bool has_same_struct(const btf *theirs, const btf *ours, const std::string &name)
{
	const auto left = find(theirs, name, BTF_KIND_STRUCT), right = find(ours, name, BTF_KIND_STRUCT);
	const auto same = [](const Member &l, const Member &r) {
		return l.name == r.name && l.offset == r.offset && l.type.size() == r.type.size();
	};
	return left && right && left->size() == right->size() &&
	       std::ranges::equal(members(*left), members(*right), same);
}

Result<std::size_t> variable_offset(const btf *types, const std::string &name)
{
	const int variable = btf__find_by_name_kind(types, name.c_str(), BTF_KIND_VAR);
	for (__u32 id = 1; variable > 0 && id < btf__type_cnt(types); id++) {
		const btf_type *section = btf__type_by_id(types, id);
		if (!btf_is_datasec(section))
			continue;
		for (__u32 i = 0; i < btf_vlen(section); i++)
			if (btf_var_secinfos(section)[i].type == static_cast<__u32>(variable))
				return btf_var_secinfos(section)[i].offset;
	}
	return missing("variable", name, true);
}

// Collects the steps.
class StructReader::Matcher {
public:
	using Indices = std::vector<std::pair<std::size_t, std::size_t>>; // of theirs and of ours

	Matcher(std::vector<Step> &steps, std::optional<Indices> indices) : steps_(steps), indices_(std::move(indices))
	{
	}

	void match_members(const Type &theirs, std::size_t from, const Type &ours, std::size_t to)
	{
		const std::vector<Member> their_members = members(theirs);
		for (const Member &our : members(ours))
			if (const Member *their = find_member(their_members, ours.name(), our.name))
				match(their->type, from + their->offset, our.type, to + our.offset);
	}

private:
	void match(const Type &theirs, std::size_t from, const Type &ours, std::size_t to)
	{
		if (btf_is_struct(theirs.type) && btf_is_struct(ours.type))
			match_members(theirs, from, ours, to);
		else if (btf_is_array(theirs.type) && btf_is_array(ours.type))
			match_elements(theirs, from, ours, to);
		else if (theirs.is_integer() && ours.is_integer())
			add({from, to, theirs.size(), ours.size(), theirs.is_signed()});
	}

	void match_elements(const Type &theirs, std::size_t from, const Type &ours, std::size_t to)
	{
		const Type their = theirs.element(), our = ours.element();
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

	// Where both layouts are equal, much becomes one step.
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
		auto their_enum = find(theirs, index_enum, BTF_KIND_ENUM);
		auto our_enum = find(ours, index_enum, BTF_KIND_ENUM);
		if (!their_enum || !our_enum)
			return missing("enum", index_enum, !their_enum);
		indices.emplace();
		for (const Enumerator &our : enumerators(*our_enum))
			for (const Enumerator &their : enumerators(*their_enum))
				if (our.name == their.name)
					indices->emplace_back(their.value, our.value);
	}
	auto their_struct = find(theirs, struct_name, BTF_KIND_STRUCT);
	auto our_struct = find(ours, struct_name, BTF_KIND_STRUCT);
	if (!their_struct || !our_struct)
		return missing("struct", struct_name, !their_struct);

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
