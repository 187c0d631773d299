// SPDX-License-Identifier: Apache-2.0
// The maps, programs and links that outlive a persistent agent, pinned in a bpffs.
//
//     BPFFS/tcpwin-agent/vLAYOUT/NETNS-IFINDEX/NAME        directories of mode 0700
//
// One directory per interface. The interfaces of one agent share their maps, but each directory pins all of them, so
// that it is complete without the others. NETNS is the cookie of the network namespace (SO_NETNS_COOKIE).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

constexpr auto default_bpffs = "/sys/fs/bpf";

// The pins of one interface.
class PinnedInterface {
public:
	PinnedInterface(std::filesystem::path directory, unsigned layout, unsigned ifindex)
		: directory_(std::move(directory)), layout_(layout), ifindex_(ifindex)
	{
	}

	unsigned ifindex() const { return ifindex_; }
	// TCPWIN_LAYOUT_VERSION of the agent that made the maps.
	unsigned layout() const { return layout_; }
	const std::filesystem::path &directory() const { return directory_; }

	// Whether all pinned_maps are there. If not, the agent was killed before it attached.
	bool is_complete() const;
	// The pinned object; empty if there is none of that name.
	UniqueFd open(std::string_view name) const;
	// The opened directory, which keeps the bpffs from being unmounted. Empty on errors.
	UniqueFd keep() const;
	// Pins fd under this name, replacing an existing pin.
	Result<void> pin(std::string_view name, int fd) const;
	void unpin(std::string_view name) const;
	// Whether links are pinned, and whether one of them is still attached, in any network namespace.
	bool has_links() const;
	bool is_attached() const;
	// The kernel's id of the flow table, which the directories of one agent share; 0: none.
	std::uint32_t table_id() const;
	// Removes the directory and everything in it.
	Result<void> remove() const;

private:
	std::filesystem::path directory_;
	unsigned layout_;
	unsigned ifindex_;
};

// The pins of the interfaces of this network namespace.
class PinDirectory {
public:
	// Creates nothing. Error: the directory is not on a bpffs or cannot be read.
	static Result<PinDirectory> open(const std::string &bpffs);

	// BPFFS/tcpwin-agent
	const std::filesystem::path &root() const { return root_; }
	Result<void> make_root() const;
	// Removes it if nothing is pinned in it.
	void remove_empty_root() const;

	// Of all layouts, in order of layout and interface index.
	std::vector<PinnedInterface> list() const;
	// The pins of other network namespaces, which may no longer exist.
	std::vector<PinnedInterface> list_elsewhere() const;
	// The directory of an interface in this layout, created if it does not exist.
	Result<PinnedInterface> make(unsigned ifindex) const;

private:
	PinDirectory(std::filesystem::path root, std::uint64_t network) : root_(std::move(root)), network_(network) {}

	std::vector<PinnedInterface> list_if(const std::function<bool(std::uint64_t)> &is_wanted) const;

	std::filesystem::path root_;
	std::uint64_t network_;
};

} // namespace tcpwin
