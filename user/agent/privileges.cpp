// SPDX-License-Identifier: Apache-2.0
#include "agent/privileges.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <string>
#include <vector>

#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/landlock.hpp"
#include "agent/seccomp.hpp"
#include "base/log.hpp"

namespace tcpwin {
namespace {

using Capabilities = std::vector<unsigned>;

constexpr int unchanged = -1;

bool permitted(unsigned capability)
{
	return capng_have_capability(CAPNG_PERMITTED, capability) == 1;
}

// The permitted set stays, so that capabilities can be raised again.
Result<void> set_effective(const Capabilities &wanted)
{
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
		capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, capability);
	for (unsigned capability : wanted)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, capability);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return fail("capset", describe_errno(errno));
	return {};
}

Capabilities all_permitted()
{
	Capabilities all;
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
		if (permitted(capability))
			all.push_back(capability);
	return all;
}

// The smallest set with which still_works() returns true; found by trial, because kernels differ.
Result<Capabilities> find_needed(const Needs &needs, const std::function<bool()> &still_works)
{
	Capabilities kept, more{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	if (needs.attach_more || needs.change_filters)
		kept.push_back(CAP_NET_ADMIN);
	const auto useless = [&](unsigned capability) {
		return !permitted(capability) || std::ranges::count(kept, capability);
	};
	std::erase_if(more, useless);
	std::erase_if(kept, [](unsigned capability) { return !permitted(capability); });

	TRY(set_effective(kept));
	for (auto next = more.begin(); !still_works(); ++next) {
		if (next == more.end()) {
			TRY(set_effective(all_permitted()));
			return fail("capabilities", "without them the kernel refuses to sweep the flow table");
		}
		kept.push_back(*next);
		TRY(set_effective(kept));
	}
	return kept;
}

// user: nobody or unchanged; also used as the group.
int keep_only(const Capabilities &kept, int user, int flags)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned capability : kept)
		capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), capability);
	return capng_change_id(user, user, static_cast<capng_flags_t>(flags));
}

// Whether root can become nobody; a container may not allow it.
bool can_change_user()
{
	if (geteuid() != 0)
		return false;
	if (permitted(CAP_SETUID) && permitted(CAP_SETGID))
		return true;
	log::debug("keeping user 0: CAP_SETUID or CAP_SETGID is missing");
	return false;
}

Result<void> drop_capabilities(const Capabilities &kept, bool keep_user)
{
	const int flags =
		CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_AMBIENT | (permitted(CAP_SETPCAP) ? CAPNG_CLEAR_BOUNDING : 0);
	const bool change = !keep_user && can_change_user();
	int error = keep_only(kept, change ? static_cast<int>(nobody) : unchanged, flags);
	if (error != 0 && change && errno == EINVAL) {
		log::debug("keeping user 0: this user namespace has no user {}", nobody);
		error = keep_only(kept, unchanged, flags);
	}
	if (error != 0)
		return fail("user and capabilities",
			    fmt::format("{} (libcap-ng's error {})", describe_errno(errno), error));
	return {};
}

std::string name_of(unsigned capability)
{
	std::string name = fmt::format("cap_{}", capng_capability_to_name(capability));
	std::ranges::transform(name, name.begin(), [](unsigned char letter) { return std::toupper(letter); });
	return name;
}

std::string describe(const Capabilities &kept)
{
	std::vector<std::string> names;
	std::ranges::transform(kept, std::back_inserter(names), name_of);
	return kept.empty() ? "none" : fmt::format("{}", fmt::join(names, " "));
}

// These library functions read a file on their first call.
void preload_files()
{
	tzset();
	libbpf_num_possible_cpus();
}

Result<void> forbid_new_privileges()
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail("no_new_privs", describe_errno(errno));
	return {};
}

Result<void> drop_unneeded_capabilities(const Needs &needs, const std::function<bool()> &still_works)
{
	if (capng_get_caps_process() != 0)
		return fail("capabilities", "cannot be read");
	auto kept = TRY(find_needed(needs, still_works));
	auto dropped = drop_capabilities(kept, !needs.pin_below.empty());
	if (dropped)
		log::debug("capabilities kept: {}; user {}", describe(kept), geteuid());
	return dropped;
}

// Without Landlock, seccomp alone keeps the agent from opening files, unless it has to pin.
Result<void> limit_files(const Needs &needs)
{
	if (!has_landlock() && needs.pin_below.empty())
		return {};
	return restrict_files(needs.pin_below, FileAccess::change);
}

Result<void> keep_only_dac_override()
{
	if (capng_get_caps_process() != 0)
		return fail("capabilities", "cannot be read");
	Capabilities kept{CAP_DAC_OVERRIDE};
	std::erase_if(kept, [](unsigned capability) { return !permitted(capability); });
	const int flags = CAPNG_CLEAR_AMBIENT | (permitted(CAP_SETPCAP) ? CAPNG_CLEAR_BOUNDING : 0);
	if (keep_only(kept, unchanged, flags) != 0)
		return fail("capabilities", describe_errno(errno));
	return {};
}

// Returns the first error, if any.
template <std::size_t n> Result<void> all_of(const Result<void> (&results)[n])
{
	const auto failed = std::ranges::find_if(results, [](const auto &result) { return !result; });
	return failed == std::end(results) ? Result<void>{} : *failed;
}

} // namespace

Result<void> drop_privileges(const Needs &needs, const std::function<bool()> &still_works)
{
	preload_files();
	const auto dropped = all_of({forbid_new_privileges(), limit_files(needs),
				     drop_unneeded_capabilities(needs, still_works), install_seccomp_filter(needs)});
	if (dropped)
		return {};
	return fail("cannot drop all privileges", dropped.error().sentence(), "the agent keeps them");
}

Result<void> drop_privileges_of_cgroup_helper(const std::string &mount)
{
	const auto without_capabilities = []() -> Result<void> {
		if (capng_get_caps_process() != 0)
			return fail("capabilities", "cannot be read");
		return drop_capabilities({}, false);
	};
	return all_of({forbid_new_privileges(),
		       has_landlock() ? restrict_files(mount, FileAccess::list) : Result<void>{},
		       without_capabilities(), install_seccomp_filter_of_cgroup_helper()});
}

Result<void> drop_privileges_of_reopen_helper()
{
	return all_of({forbid_new_privileges(), keep_only_dac_override(), install_seccomp_filter_of_reopen_helper()});
}

} // namespace tcpwin
