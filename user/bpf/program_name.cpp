// SPDX-License-Identifier: Apache-2.0
#include "bpf/program_name.hpp"

#include <bpf/bpf.h>

#include "base/unique_fd.hpp"
#include "bpf/object_info.hpp"

namespace tcpwin {

std::string program_name(unsigned id)
{
	const UniqueFd program(bpf_prog_get_fd_by_id(id));
	const auto info = object_info<bpf_prog_info>(program.get());
	return info ? info->name : "";
}

} // namespace tcpwin
