// SPDX-License-Identifier: Apache-2.0
#include "bpf/socket_owners.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <socket_owners.skel.h>
#include <tcpwin/socket_owner.h>

namespace tcpwin {
namespace {

constexpr auto what = "cannot find the processes of sockets";

struct Destroy {
	void operator()(socket_owners_bpf *skeleton) const { socket_owners_bpf__destroy(skeleton); }
};

void add(SocketOwner &owner, const tcpwin_socket_owner &one)
{
	const auto place = std::ranges::lower_bound(owner.pids, one.pid);
	if (place != owner.pids.end() && *place == one.pid)
		return; // another descriptor
	if (place == owner.pids.begin())
		owner.command.assign(one.command, strnlen(one.command, sizeof(one.command)));
	owner.pids.insert(place, one.pid);
	if (owner.pids.size() > SocketOwners::most)
		owner.pids.pop_back();
}

} // namespace

Result<SocketOwners> SocketOwners::open()
{
	const std::unique_ptr<socket_owners_bpf, Destroy> skeleton(socket_owners_bpf__open_and_load());
	if (!skeleton)
		return fail(what, describe_errno(errno));
	if (int error = socket_owners_bpf__attach(skeleton.get()))
		return fail(what, describe_errno(error));
	UniqueFd link(fcntl(bpf_link__fd(skeleton->links.tcpwin_socket_owners), F_DUPFD_CLOEXEC, 0));
	if (!link)
		return fail(what, describe_errno(errno));
	return SocketOwners(std::move(link));
}

Result<SocketOwners::ByCookie> SocketOwners::read() const
{
	const UniqueFd iterator(bpf_iter_create(link_.get()));
	if (!iterator)
		return fail(what, describe_errno(errno));
	ByCookie owners;
	std::vector<tcpwin_socket_owner> part(512);
	while (true) {
		const ssize_t got = ::read(iterator.get(), part.data(), part.size() * sizeof(part[0]));
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			return fail(what, describe_errno(errno));
		if (got == 0)
			return owners;
		for (std::size_t i = 0; i < static_cast<std::size_t>(got) / sizeof(part[0]); i++)
			add(owners[part[i].cookie], part[i]);
	}
}

} // namespace tcpwin
