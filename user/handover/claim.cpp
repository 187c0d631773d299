// SPDX-License-Identifier: Apache-2.0
#include "handover/claim.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/nobody.hpp"

namespace tcpwin {
namespace {

constexpr auto lock_directory = "/run/tcpwin-agent";
constexpr auto lock_path = "/run/tcpwin-agent/lock";

// Opened once and never closed before the end: closing any descriptor of the file would release all locks of the process
// (fcntl_locking(2)). Only root can have it; nobody else may hold it up.
const UniqueFd &lock_file()
{
	static const UniqueFd file = [] {
		if (geteuid() != 0)
			return UniqueFd();
		mkdir(lock_directory, 0755); // or it exists
		UniqueFd fd(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
		struct stat status{};
		const bool ours = fd && fstat(fd.get(), &status) == 0 && status.st_uid == 0 &&
				  S_ISREG(status.st_mode) && (status.st_mode & 0077) == 0;
		return ours ? std::move(fd) : UniqueFd();
	}();
	return file;
}

// The byte that stands for the interface: an interface index is unique in its network namespace only.
struct flock lock_of(unsigned ifindex, short type)
{
	static const ino_t network_namespace = [] {
		struct stat status{};
		return stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
	}();
	struct flock lock{};
	lock.l_type = type;
	lock.l_whence = SEEK_SET;
	lock.l_start = static_cast<off_t>((network_namespace & 0xffffffff) << 31 | ifindex);
	lock.l_len = 1;
	return lock;
}

enum class Locked { by_us, by_another, nowhere };

Locked try_lock(unsigned ifindex)
{
	if (!lock_file())
		return Locked::nowhere;
	struct flock lock = lock_of(ifindex, F_WRLCK);
	if (fcntl(lock_file().get(), F_SETLK, &lock) == 0)
		return Locked::by_us;
	return errno == EACCES || errno == EAGAIN ? Locked::by_another : Locked::nowhere;
}

void unlock(unsigned ifindex)
{
	struct flock lock = lock_of(ifindex, F_UNLCK);
	fcntl(lock_file().get(), F_SETLK, &lock);
}

// PID of the process that has the lock; nullopt: none, or it is in another PID namespace.
std::optional<pid_t> find_lock_holder(unsigned ifindex)
{
	struct flock lock = lock_of(ifindex, F_WRLCK);
	if (!lock_file() || fcntl(lock_file().get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0)
		return std::nullopt;
	return lock.l_pid;
}

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

Claim::Claim(UniqueFd socket, unsigned locked) : socket_(std::move(socket)), locked_(locked) {}

Claim::~Claim()
{
	if (locked_)
		unlock(locked_);
}

std::optional<pid_t> Claim::holder(unsigned ifindex)
{
	if (const auto process = find_lock_holder(ifindex))
		return process;
	const auto found = find_holder(address_of(ifindex));
	return found && could_have_attached(*found) ? std::optional(found->pid) : std::nullopt;
}

Claim Claim::of_process()
{
	lock_file(); // which only root can open
	UniqueFd socket = make_socket();
	return {listen_at(socket, address_of_process(getpid())) ? std::move(socket) : UniqueFd(), 0};
}

Result<Claim> Claim::of_interface(const Interface &interface)
{
	const auto what = "cannot attach to " + interface.name;
	const auto refuse = [&](std::optional<pid_t> process) {
		return fail(what,
			    process ? fmt::format("another tcpwin-agent is watching it (process {})", *process) :
				      "another tcpwin-agent is watching it",
			    process ? fmt::format("stop it first: kill {}", *process) : "stop it first");
	};
	const Locked locked = try_lock(interface.index);
	if (locked == Locked::by_another)
		return refuse(find_lock_holder(interface.index));

	Claim claim({}, locked == Locked::by_us ? interface.index : 0);
	const Address address = address_of(interface.index);
	UniqueFd socket = make_socket();
	if (!socket)
		return fail(what, describe_errno(errno));
	if (listen_at(socket, address)) {
		claim.socket_ = std::move(socket);
		return claim;
	}
	if (errno != EADDRINUSE)
		return fail(what, describe_errno(errno));

	const auto holder = find_holder(address);
	if (holder ? could_have_attached(*holder) : locked != Locked::by_us)
		return refuse(holder ? std::optional(holder->pid) : std::nullopt);
	log::warning("{} claims to watch {}; ignored",
		     holder ? fmt::format("process {} of user {}", holder->pid, holder->uid) :
			      "a process that does not listen",
		     interface.name);
	return claim;
}

} // namespace tcpwin
