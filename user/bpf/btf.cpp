// SPDX-License-Identifier: Apache-2.0
#include "bpf/btf.hpp"

#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <tcpwin/types.h> // for the skeleton
#include <tcpwin.skel.h>

#include "bpf/btf_types.hpp"
#include "bpf/object_info.hpp"

namespace tcpwin {

void FreeBtf::operator()(btf *types) const
{
	btf__free(types);
}

Result<BtfPtr> map_btf(int map_fd)
{
	const auto info = object_info<bpf_map_info>(map_fd);
	if (!info)
		return fail("cannot read the types of a map", describe_errno(errno));
	const std::string what = fmt::format("cannot read the types of map {}", info->name);
	if (info->btf_id == 0)
		return fail(what, "it has none");
	if (BtfPtr types{btf__load_from_kernel_by_id(info->btf_id)})
		return types;
	const int error = errno;
	return fail(what, describe_errno(error), error == EPERM ? "run as root, or with CAP_SYS_ADMIN" : "",
		    error == EPERM ? Exit::no_permission : Exit::failure);
}

Result<BtfPtr> own_btf()
{
	std::unique_ptr<tcpwin_bpf, decltype(&tcpwin_bpf__destroy)> object(tcpwin_bpf__open(), tcpwin_bpf__destroy);
	if (!object)
		return fail("cannot read this agent's types", describe_errno(errno));
	__u32 size = 0; // copied: the object frees its types when it is closed
	const void *data = btf__raw_data(bpf_object__btf(object->obj), &size);
	if (BtfPtr types{data ? btf__new(data, size) : nullptr})
		return types;
	return fail("cannot read this agent's types", describe_errno(errno));
}

bool has_same_struct(const btf *theirs, const btf *ours, const std::string &name)
{
	const auto left = find_type(theirs, name, BTF_KIND_STRUCT), right = find_type(ours, name, BTF_KIND_STRUCT);
	const auto same = [](const BtfMember &l, const BtfMember &r) {
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
	return missing_type("variable", name, true);
}

} // namespace tcpwin
