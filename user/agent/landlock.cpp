// SPDX-License-Identifier: Apache-2.0
#include "agent/landlock.hpp"

#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.hpp"

namespace tcpwin {
namespace {

// Version of the interface; less than 1: none.
long version()
{
	return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

// All kinds of access to files that this version can forbid. Debian 12's headers do not name the later ones.
std::uint64_t all_access(long version)
{
	constexpr std::uint64_t since_1 = (1U << 13) - 1, refer = 1U << 13, truncate = 1U << 14, ioctl_dev = 1U << 15;
	return since_1 | (version >= 2 ? refer : 0) | (version >= 3 ? truncate : 0) | (version >= 5 ? ioctl_dev : 0);
}

Result<void> permit(const UniqueFd &rules, const std::string &directory, std::uint64_t access)
{
	const UniqueFd below(open(directory.c_str(), O_PATH | O_CLOEXEC));
	landlock_path_beneath_attr rule{};
	rule.parent_fd = below.get();
	rule.allowed_access = access;
	if (!below || syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		return fail("landlock", directory + ": " + describe_errno(errno));
	return {};
}

} // namespace

bool has_landlock()
{
	return version() > 0;
}

Result<void> restrict_files(const std::string &directory, FileAccess access)
{
	// A pin is a regular file to Landlock.
	constexpr std::uint64_t list = LANDLOCK_ACCESS_FS_READ_DIR,
				change = list | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
					 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE;
	landlock_ruleset_attr attributes{};
	attributes.handled_access_fs = all_access(version());
	const UniqueFd rules(static_cast<int>(
		syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0)));
	if (!rules)
		return fail("landlock", describe_errno(errno));
	if (!directory.empty())
		TRY(permit(rules, directory, access == FileAccess::list ? list : change));
	if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
		return fail("landlock", describe_errno(errno));
	return {};
}

} // namespace tcpwin
