// SPDX-License-Identifier: Apache-2.0
#include "bpf/program_name.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/unique_fd.hpp"

namespace tcpwin {

std::string program_name(unsigned id)
{
	bpf_prog_info info{};
	__u32 size = sizeof(info);
	const UniqueFd program(bpf_prog_get_fd_by_id(id));
	if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
		return {};
	return info.name;
}

} // namespace tcpwin
