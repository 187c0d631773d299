// SPDX-License-Identifier: Apache-2.0
#include "agent/claim.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/privileges.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

struct Address {
	sockaddr_un socket{};
	socklen_t size;

	explicit Address(const std::string &name)
	{
		socket.sun_family = AF_UNIX;
		std::copy(name.begin(), name.end(), socket.sun_path + 1); // a null byte first: abstract
		size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
	}
	const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&socket); }
};

Address address_of(unsigned ifindex)
{
	return Address(fmt::format("tcpwin-agent/{}", ifindex));
}

Address address_of_process(pid_t process)
{
	return Address(fmt::format("tcpwin-agent/process/{}", process));
}

UniqueFd make_socket()
{
	return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// The credentials of the listener; nullopt: unknown.
std::optional<ucred> find_holder(const Address &address)
{
	const UniqueFd socket = make_socket();
	ucred holder{};
	socklen_t size = sizeof(holder);
	if (!socket || connect(socket.get(), address.get(), address.size) != 0 ||
	    getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &holder, &size) != 0)
		return std::nullopt;
	return holder;
}

bool listen_at(const UniqueFd &socket, const Address &address)
{
	return bind(socket.get(), address.get(), address.size) == 0 && listen(socket.get(), SOMAXCONN) == 0;
}

// Any process can bind a name, so a claim counts only if its holder could have attached. A process of the user nobody
// counts if it ran as root before.
bool could_have_attached(const ucred &holder)
{
	if (holder.uid == 0 || (holder.uid == geteuid() && holder.uid != nobody))
		return true;
	const auto process = find_holder(address_of_process(holder.pid));
	return process && process->pid == holder.pid && process->uid == 0;
}

} // namespace

std::optional<pid_t> Claim::holder(unsigned ifindex)
{
	const auto found = find_holder(address_of(ifindex));
	return found && could_have_attached(*found) ? std::optional(found->pid) : std::nullopt;
}

Claim Claim::of_process()
{
	UniqueFd socket = make_socket();
	return Claim(listen_at(socket, address_of_process(getpid())) ? std::move(socket) : UniqueFd());
}

Result<Claim> Claim::of_interface(const Interface &interface)
{
	const Address address = address_of(interface.index);
	UniqueFd socket = make_socket();
	if (!socket)
		return fail("cannot attach to " + interface.name, describe_errno(errno));
	if (listen_at(socket, address))
		return Claim(std::move(socket));
	if (errno != EADDRINUSE)
		return fail("cannot attach to " + interface.name, describe_errno(errno));

	const auto holder = find_holder(address);
	if (holder && !could_have_attached(*holder)) {
		log::warning("process {} of user {} claims to watch {}; ignored", holder->pid, holder->uid,
			     interface.name);
		return Claim(UniqueFd());
	}
	return fail("cannot attach to " + interface.name,
		    holder ? fmt::format("another tcpwin-agent is watching it (process {})", holder->pid) :
			     "another tcpwin-agent is watching it",
		    holder ? fmt::format("stop it first: kill {}", holder->pid) : "stop it first");
}

} // namespace tcpwin
