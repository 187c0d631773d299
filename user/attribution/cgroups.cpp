// SPDX-License-Identifier: Apache-2.0
#include "attribution/cgroups.hpp"

#include <cstdio>
#include <memory>

#include <fts.h>
#include <mntent.h>
#include <sys/stat.h>

namespace tcpwin {

std::string find_cgroup2()
{
	const std::unique_ptr<FILE, int (*)(FILE *)> mounts(setmntent("/proc/self/mounts", "re"), endmntent);
	while (const mntent *entry = mounts ? getmntent(mounts.get()) : nullptr)
		if (std::string_view(entry->mnt_type) == "cgroup2")
			return entry->mnt_dir;
	return {};
}

std::optional<std::string> CgroupTree::find(std::uint64_t id)
{
	auto found = paths_.find(id);
	if (found == paths_.end()) {
		const auto now = std::chrono::steady_clock::now();
		if (mount_.empty() || (read_at_ && now - *read_at_ < std::chrono::seconds(1)))
			return std::nullopt;
		read();
		read_at_ = now;
		found = paths_.find(id);
	}
	return found == paths_.end() ? std::nullopt : std::optional(found->second);
}

// IDs are not used again, so paths of cgroups that are gone could stay; they are dropped to bound the memory.
void CgroupTree::read()
{
	paths_.clear();
	char *roots[] = {mount_.data(), nullptr};
	const std::unique_ptr<FTS, int (*)(FTS *)> tree(fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr),
							fts_close);
	while (const FTSENT *entry = tree ? fts_read(tree.get()) : nullptr) {
		if (entry->fts_info != FTS_D)
			continue;
		const std::string_view path(entry->fts_path, entry->fts_pathlen);
		paths_[entry->fts_statp->st_ino] =
			path.size() > mount_.size() ? std::string(path.substr(mount_.size())) : "/";
	}
}

} // namespace tcpwin
