// SPDX-License-Identifier: Apache-2.0
#include "bpf/pins.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <tuple>

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <tcpwin/types.h>
#include <unistd.h>

namespace tcpwin {
namespace {

namespace fs = std::filesystem;

constexpr int netns_cookie = 71; // SO_NETNS_COOKIE, Linux 5.14: younger than Debian 12's C library
constexpr int most_tries = 100;
constexpr std::string_view link_prefix = "link_";

Result<std::uint64_t> network_namespace()
{
	const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	std::uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	if (!socket || getsockopt(socket.get(), SOL_SOCKET, netns_cookie, &cookie, &size) != 0)
		return fail("cannot tell the network namespace", describe_errno(errno));
	return cookie;
}

template <typename Number> std::optional<Number> parse(std::string_view text)
{
	Number number{};
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
	if (error != std::errc() || end != text.data() + text.size())
		return std::nullopt;
	return number;
}

std::vector<fs::path> entries(const fs::path &directory)
{
	std::error_code ignored; // what is not there has no entries
	std::vector<fs::path> paths;
	for (fs::directory_iterator next(directory, ignored), end; next != end; next.increment(ignored)) {
		paths.push_back(next->path());
		if (ignored)
			break;
	}
	return paths;
}

// Returns 0 or errno.
int make_directory(const fs::path &path)
{
	return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST ? 0 : errno;
}

tl::unexpected<Error> cannot_pin(const fs::path &path, int error)
{
	const bool denied = error == EPERM || error == EACCES;
	return fail(fmt::format("cannot pin in {}", path.string()), describe_errno(error),
		    denied ? "run as root, or choose a bpffs of yours with --bpffs" : "",
		    denied ? Exit::no_permission : Exit::failure);
}

// 0: its interface was deleted. Of TCX, which these headers do not know, the index lies where XDP links have theirs.
__u32 interface_of(int link_fd)
{
	bpf_link_info info{};
	__u32 size = sizeof(info);
	return bpf_obj_get_info_by_fd(link_fd, &info, &size) == 0 ? info.xdp.ifindex : 0;
}

bpf_map_info map_info(int fd)
{
	bpf_map_info info{};
	__u32 size = sizeof(info);
	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info : bpf_map_info{};
}

} // namespace

std::uint32_t map_id(int fd)
{
	return map_info(fd).id;
}

std::uint32_t max_entries(int fd)
{
	return map_info(fd).max_entries;
}

// In another layout, maps that only the programs use may have other names (stalled_hosts was "sources" up to 3).
bool PinnedInterface::is_complete() const
{
	const bool own_layout = layout_ == TCPWIN_LAYOUT_VERSION;
	return std::ranges::all_of(pinned_maps, [&](std::string_view name) {
		std::error_code ignored; // not ours to read: not there
		const bool needed = own_layout || std::ranges::find(program_maps, name) == program_maps.end();
		return !needed || fs::exists(directory_ / name, ignored);
	});
}

UniqueFd PinnedInterface::open(std::string_view name) const
{
	return name.empty() ? UniqueFd() : UniqueFd(std::max(-1, bpf_obj_get((directory_ / name).c_str())));
}

UniqueFd PinnedInterface::keep() const
{
	return UniqueFd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// At once, so that no one who is killed leaves a link without its name; a rename, so that there is no time without.
Result<void> PinnedInterface::pin(std::string_view name, int fd) const
{
	const fs::path path = directory_ / name, beside = directory_ / "next";
	int failed = bpf_obj_pin(fd, path.c_str());
	if (!failed)
		return {};
	std::error_code error;
	fs::remove(beside, error);
	if (failed == -EEXIST)
		failed = bpf_obj_pin(fd, beside.c_str());
	if (failed)
		return fail(fmt::format("cannot pin {}", path.string()), describe_errno(failed));
	fs::rename(beside, path, error);
	if (error)
		return fail(fmt::format("cannot pin {}", path.string()), error.message());
	return {};
}

void PinnedInterface::unpin(std::string_view name) const
{
	std::error_code ignored;
	fs::remove(directory_ / name, ignored);
}

std::uint32_t PinnedInterface::table_id() const
{
	const UniqueFd flows = open("flows");
	return flows ? map_id(flows.get()) : 0;
}

Result<void> PinnedInterface::remove() const
{
	std::error_code error;
	fs::remove_all(directory_, error);
	if (error)
		return fail(fmt::format("cannot remove {}", directory_.string()), error.message());
	// The last one leaves nothing behind. Not empty: it was not the last.
	const fs::path layout = directory_.parent_path();
	if (rmdir(layout.c_str()) == 0)
		rmdir(layout.parent_path().c_str());
	return {};
}

Result<PinDirectory> PinDirectory::open(const std::string &bpffs)
{
	struct statfs filesystem{};
	if (statfs(bpffs.c_str(), &filesystem) != 0)
		return fail("cannot use " + bpffs, describe_errno(errno), "choose a bpffs with --bpffs");
	if (filesystem.f_type != BPF_FS_MAGIC)
		return fail("cannot use " + bpffs, "it is no bpffs", "mount one: mount -t bpf bpf " + bpffs);
	auto network = TRY(network_namespace());
	const fs::path root = fs::path(bpffs) / "tcpwin-agent";
	std::error_code error;
	fs::directory_iterator(root, error);
	if (error && error != std::errc::no_such_file_or_directory)
		return fail("cannot read " + root.string(), error.message(),
			    "run as root, or choose a bpffs of yours with --bpffs", Exit::no_permission);
	return PinDirectory(root, network);
}

bool PinnedInterface::has_links() const
{
	return std::ranges::any_of(entries(directory_), [](const fs::path &path) {
		return path.filename().string().starts_with(link_prefix);
	});
}

bool PinnedInterface::is_attached() const
{
	return std::ranges::any_of(entries(directory_), [&](const fs::path &path) {
		const std::string name = path.filename();
		if (!name.starts_with(link_prefix))
			return false;
		const UniqueFd link = open(name);
		return link && interface_of(link.get()) != 0;
	});
}

std::vector<PinnedInterface> PinDirectory::list() const
{
	return list_if([&](std::uint64_t network) { return network == network_; });
}

std::vector<PinnedInterface> PinDirectory::list_elsewhere() const
{
	return list_if([&](std::uint64_t network) { return network != network_; });
}

std::vector<PinnedInterface> PinDirectory::list_if(const std::function<bool(std::uint64_t)> &is_asked) const
{
	std::vector<PinnedInterface> all;
	for (const fs::path &layout : entries(root_)) {
		const std::string name = layout.filename();
		const auto version =
			parse<unsigned>(std::string_view(name).substr(std::min<std::size_t>(1, name.size())));
		if (!name.starts_with('v') || !version)
			continue;
		for (const fs::path &path : entries(layout)) {
			const std::string directory = path.filename();
			const std::size_t dash = std::min(directory.find('-'), directory.size() - 1);
			const auto network = parse<std::uint64_t>(std::string_view(directory).substr(0, dash));
			const auto ifindex = parse<unsigned>(std::string_view(directory).substr(dash + 1));
			if (network && ifindex && is_asked(*network))
				all.emplace_back(path, *version, *ifindex);
		}
	}
	std::ranges::sort(all, {}, [](const PinnedInterface &one) { return std::tuple(one.layout(), one.ifindex()); });
	return all;
}

Result<PinnedInterface> PinDirectory::make(unsigned ifindex) const
{
	const fs::path layout = root_ / fmt::format("v{}", TCPWIN_LAYOUT_VERSION);
	const fs::path path = layout / fmt::format("{}-{}", network_, ifindex);
	for (int tries = most_tries;; tries--) {
		int error = 0;
		for (const fs::path &each : {root_, layout, path})
			error = error ? error : make_directory(each);
		if (!error)
			return PinnedInterface(path, TCPWIN_LAYOUT_VERSION, ifindex);
		if (error != ENOENT || tries == 0) // another process removed the last one above it meanwhile
			return cannot_pin(path, error);
	}
}

} // namespace tcpwin
