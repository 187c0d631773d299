// SPDX-License-Identifier: Apache-2.0
#include "bpf/tcx.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

constexpr std::uint32_t before_all = 1U << 3; // BPF_F_BEFORE without another program
constexpr std::size_t most_programs = 64;     // BPF_MPROG_MAX
constexpr std::uint64_t most_revisions = 256; // that find_revision tries

// Members of union bpf_attr, as in the headers of Linux 6.6.
struct LinkCreate {
	std::uint32_t program_fd;
	std::uint32_t ifindex;
	std::uint32_t attach_type;
	std::uint32_t flags;
	std::uint32_t relative_fd;
	std::uint32_t zero;
	std::uint64_t expected_revision;
};

struct Query {
	std::uint32_t ifindex;
	std::uint32_t attach_type;
	std::uint32_t query_flags;
	std::uint32_t attach_flags;
	std::uint64_t program_ids;
	std::uint32_t count;
	std::uint32_t zero;
	std::uint64_t program_attach_flags;
	std::uint64_t link_ids;
	std::uint64_t link_attach_flags;
	std::uint64_t revision;
};

template <typename Attributes> int bpf(bpf_cmd command, Attributes &attributes)
{
	const long result = syscall(SYS_bpf, command, &attributes, sizeof(attributes));
	return result < 0 ? -errno : static_cast<int>(result);
}

// revision: the list must have it; 0: any.
int create_link(unsigned ifindex, Direction direction, int program_fd, std::uint32_t flags, std::uint64_t revision)
{
	LinkCreate attributes{};
	attributes.program_fd = static_cast<std::uint32_t>(program_fd);
	attributes.ifindex = ifindex;
	attributes.attach_type = tcx_attach_type(direction);
	attributes.flags = flags;
	attributes.expected_revision = revision;
	return bpf(BPF_LINK_CREATE, attributes);
}

} // namespace

int query_tcx(unsigned ifindex, Direction direction, TcxList &list)
{
	std::array<__u32, most_programs> ids{};
	Query attributes{};
	attributes.ifindex = ifindex;
	attributes.attach_type = tcx_attach_type(direction);
	attributes.program_ids = reinterpret_cast<std::uintptr_t>(ids.data());
	attributes.count = ids.size();
	const int error = bpf(BPF_PROG_QUERY, attributes);
	if (error)
		return error;
	list.program_ids.assign(ids.begin(), ids.begin() + std::min<std::size_t>(attributes.count, ids.size()));
	list.revision = attributes.revision;
	return 0;
}

int attach_tcx(unsigned ifindex, Direction direction, int program_fd)
{
	return create_link(ifindex, direction, program_fd, before_all, 0);
}

// The kernel compares the revision (ESTALE) before it finds that the program is in the list already (EEXIST).
bool has_revision(unsigned ifindex, Direction direction, int program_fd, std::uint64_t revision)
{
	const int fd = create_link(ifindex, direction, program_fd, before_all, revision);
	const UniqueFd attached_by_accident(std::max(fd, -1)); // the program was not in the list
	return fd == -EEXIST;
}

std::uint64_t find_revision(unsigned ifindex, Direction direction, int program_fd, std::uint64_t after)
{
	for (std::uint64_t revision = after + 1; revision <= after + most_revisions; revision++)
		if (has_revision(ifindex, direction, program_fd, revision))
			return revision;
	return 0;
}

} // namespace tcpwin
