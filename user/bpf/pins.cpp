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

#include "bpf/agent_maps.hpp"
#include "bpf/object_info.hpp"

namespace tcpwin {
namespace {

namespace fs = std::filesystem;

constexpr int most_tries = 100;
constexpr std::string_view link_prefix = "link_";

Result<std::uint64_t> network_namespace()
{
	const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	std::uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	if (!socket || getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0)
		return fail("cannot identify the network namespace", describe_errno(errno));
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
	std::error_code ignored; // a missing directory has no entries
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
		    denied ? "run as root, or choose your own bpffs with --bpffs" : "",
		    denied ? Exit::no_permission : Exit::failure);
}

} // namespace

bool PinnedInterface::is_complete() const
{
	const bool own_layout = layout_ == TCPWIN_LAYOUT_VERSION;
	return std::ranges::all_of(pinned_maps, [&](std::string_view name) {
		std::error_code ignored; // an unreadable pin counts as missing
		return (!own_layout && !is_read_by_agents(name)) || fs::exists(directory_ / name, ignored);
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

// Pins under the final name directly, so that a killed process never leaves a link under another name. An existing pin
// is replaced by a rename, so that the name always exists.
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
	// Removes the parent directories with the last interface; rmdir fails while others remain.
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
		return fail("cannot use " + bpffs, "it is not a bpffs", "mount one: mount -t bpf bpf " + bpffs);
	auto network = TRY(network_namespace());
	const fs::path root = fs::path(bpffs) / "tcpwin-agent";
	std::error_code error;
	const fs::directory_iterator entries(root, error);
	if (error && error != std::errc::no_such_file_or_directory)
		return fail("cannot read " + root.string(), error.message(),
			    "run as root, or choose your own bpffs with --bpffs", Exit::no_permission);
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
		return link && attached_interface(link.get()) != 0;
	});
}

Result<void> PinDirectory::make_root() const
{
	const int error = make_directory(root_);
	return error ? cannot_pin(root_, error) : Result<void>{};
}

void PinDirectory::remove_empty_root() const
{
	rmdir(root_.c_str());
}

std::vector<PinnedInterface> PinDirectory::list() const
{
	return list_if([&](std::uint64_t network) { return network == network_; });
}

std::vector<PinnedInterface> PinDirectory::list_elsewhere() const
{
	return list_if([&](std::uint64_t network) { return network != network_; });
}

std::vector<PinnedInterface> PinDirectory::list_if(const std::function<bool(std::uint64_t)> &is_wanted) const
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
			if (network && ifindex && is_wanted(*network))
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
		if (error != ENOENT || tries == 0) // ENOENT: another process has just removed a parent directory
			return cannot_pin(path, error);
	}
}

} // namespace tcpwin
