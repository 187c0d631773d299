// SPDX-License-Identifier: Apache-2.0
// What outlives a persistent agent: maps, programs and links, pinned in a bpffs.
//
//     BPFFS/tcpwin-agent/vLAYOUT/NETNS-IFINDEX/NAME        directories of mode 0700
//
// One directory an interface. Those that one agent watches share their maps, which each directory has all the same,
// so each is complete whatever becomes of the others. NETNS is the cookie of the network namespace.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin {

constexpr auto default_bpffs = "/sys/fs/bpf";

// Without all of these a directory is the remainder of an agent that was killed before it attached.
constexpr std::array<std::string_view, 8> pinned_maps{"flows",      "records",       "counters", "fragments",
						      "interfaces", "stalled_hosts", "data",     "bss"};
// Those of which no agent reads the entries.
constexpr std::array<std::string_view, 2> program_maps{"fragments", "stalled_hosts"};

// Of one interface.
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

	bool is_complete() const;
	// Empty if there is nothing of that name.
	UniqueFd open(std::string_view name) const;
	// The directory, open: as long as it is, its bpffs cannot be unmounted. Empty if that fails.
	UniqueFd keep() const;
	// In the place of what has the name.
	Result<void> pin(std::string_view name, int fd) const;
	void unpin(std::string_view name) const;
	// Whether a link is pinned, and whether one of them has its interface still, in whatever network namespace.
	bool has_links() const;
	bool is_attached() const;
	// Kernel id of the flow table, which the directories of one agent share; 0: none.
	std::uint32_t table_id() const;
	// With all that is in it.
	Result<void> remove() const;

private:
	std::filesystem::path directory_;
	unsigned layout_;
	unsigned ifindex_;
};

// Those of this network namespace.
class PinDirectory {
public:
	// Error: the path is no bpffs, or not ours to read. Makes nothing.
	static Result<PinDirectory> open(const std::string &bpffs);

	// Of every layout, in order of layout and interface.
	std::vector<PinnedInterface> list() const;
	// Those of other network namespaces, which may be gone.
	std::vector<PinnedInterface> list_elsewhere() const;
	// In our layout; made if it does not exist.
	Result<PinnedInterface> make(unsigned ifindex) const;

private:
	PinDirectory(std::filesystem::path root, std::uint64_t network) : root_(std::move(root)), network_(network) {}

	std::vector<PinnedInterface> list_if(const std::function<bool(std::uint64_t)> &is_asked) const;

	std::filesystem::path root_;
	std::uint64_t network_;
};

// The kernel's id of a map, and its size; 0: it is none.
std::uint32_t map_id(int fd);
std::uint32_t max_entries(int fd);

} // namespace tcpwin
