// SPDX-License-Identifier: Apache-2.0
#include "privileges.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tcpwin {
namespace {

using Capabilities = std::vector<unsigned>;

constexpr int unchanged = -1;
constexpr auto failure = "cannot give up all privileges";
constexpr auto goes_on = "the agent goes on with them";

bool permitted(unsigned capability)
{
	return capng_have_capability(CAPNG_PERMITTED, capability) == 1;
}

// What is permitted stays, so that it can be raised again.
Result<void> set_effective(const Capabilities &wanted)
{
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
		capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, capability);
	for (unsigned capability : wanted)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, capability);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return fail(failure, "capset: " + describe_errno(errno), goes_on);
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

// The fewest with which still_works is true; found by trying, for kernels differ.
Result<Capabilities> find_needed(const Needs &needs, const std::function<bool()> &still_works)
{
	Capabilities kept, more{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	if (needs.attach_more || needs.detach_by_netlink)
		kept.push_back(CAP_NET_ADMIN);
	const auto useless = [&](unsigned capability) {
		return !permitted(capability) || std::ranges::count(kept, capability);
	};
	std::erase_if(more, useless);
	std::erase_if(kept, [](unsigned capability) { return !permitted(capability); });

	if (auto set = set_effective(kept); !set)
		return tl::unexpected(set.error());
	for (auto next = more.begin(); !still_works(); ++next) {
		if (next == more.end()) {
			if (auto restored = set_effective(all_permitted()); !restored)
				return tl::unexpected(restored.error());
			return fail(failure, "without its capabilities the kernel refuses to sweep the flow table", goes_on);
		}
		kept.push_back(*next);
		if (auto set = set_effective(kept); !set)
			return tl::unexpected(set.error());
	}
	return kept;
}

// user: nobody, or unchanged. The group and the supplementary groups go with it.
int keep_only(const Capabilities &kept, int user, int flags)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned capability : kept)
		capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), capability);
	return capng_change_id(user, user, static_cast<capng_flags_t>(flags));
}

// Whether root can become nobody; a container may have taken the right to it.
bool can_change_user()
{
	if (geteuid() != 0)
		return false;
	if (permitted(CAP_SETUID) && permitted(CAP_SETGID))
		return true;
	spdlog::debug("user 0 stays: it has no CAP_SETUID and CAP_SETGID");
	return false;
}

Result<void> drop_capabilities(const Capabilities &kept, bool keep_user)
{
	const int flags =
		CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_AMBIENT | (permitted(CAP_SETPCAP) ? CAPNG_CLEAR_BOUNDING : 0);
	const bool change = !keep_user && can_change_user();
	int error = keep_only(kept, change ? static_cast<int>(nobody) : unchanged, flags);
	if (error != 0 && change && errno == EINVAL) {
		spdlog::debug("user 0 stays: this user namespace has no user {}", nobody);
		error = keep_only(kept, unchanged, flags);
	}
	if (error != 0)
		return fail(failure, fmt::format("user and capabilities: {} (libcap-ng's error {})", describe_errno(errno), error),
			    goes_on);
	return {};
}

// The system calls that stay; the first error is kept.
class Filter {
public:
	Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {}

	void allow(std::initializer_list<int> calls)
	{
		for (int call : calls)
			allow_if(call, {});
	}
	// Each condition holds.
	void allow_if(int call, const std::vector<scmp_arg_cmp> &conditions)
	{
		note(seccomp_rule_add_array(context_.get(), SCMP_ACT_ALLOW, call,
					    static_cast<unsigned>(conditions.size()), conditions.data()));
	}
	void allow_bpf(std::initializer_list<bpf_cmd> commands);
	Result<void> load();

private:
	void note(int error) { error_ = error_ ? error_ : error; }

	std::unique_ptr<void, decltype(&seccomp_release)> context_;
	int error_ = 0;
};

// An argument of 32 bits; the upper half of its register may hold anything.
scmp_arg_cmp argument(unsigned number, std::uint32_t value)
{
	return {number, SCMP_CMP_MASKED_EQ, UINT32_MAX, value};
}

scmp_arg_cmp argument_without(unsigned number, std::uint32_t bits)
{
	return {number, SCMP_CMP_MASKED_EQ, bits, 0};
}

void Filter::allow_bpf(std::initializer_list<bpf_cmd> commands)
{
	for (bpf_cmd command : commands)
		allow_if(SCMP_SYS(bpf), {argument(0, command)});
}

Result<void> Filter::load()
{
	if (!context_)
		return fail(failure, "seccomp: " + describe_errno(ENOMEM), goes_on);
	note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1)); // all threads
	if (!error_)
		note(seccomp_load(context_.get()));
	if (error_)
		return fail(failure, "seccomp: " + describe_errno(error_), goes_on);
	return {};
}

// Waiting, reading what is open, writing records, and the C library's own.
void allow_watching(Filter &filter)
{
	filter.allow({SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait)});
	filter.allow({SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek), SCMP_SYS(close)});
	filter.allow({SCMP_SYS(fstat)});
	filter.allow_if(SCMP_SYS(newfstatat), {argument(3, AT_EMPTY_PATH)});
	filter.allow_if(SCMP_SYS(ioctl), {argument(1, TCGETS)});
	filter.allow({SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(membarrier)});
	filter.allow({SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex)});
	filter.allow_if(SCMP_SYS(mmap), {argument_without(2, PROT_EXEC)});
	filter.allow_if(SCMP_SYS(mprotect), {argument_without(2, PROT_EXEC)});
	filter.allow({SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn)});
	filter.allow({SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group)});
	filter.allow({SCMP_SYS(getpid), SCMP_SYS(gettid)});
	filter.allow_if(SCMP_SYS(tgkill), {argument(0, static_cast<std::uint32_t>(getpid()))}); // abort()
	filter.allow_bpf({BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
			  BPF_MAP_LOOKUP_BATCH, BPF_PROG_TEST_RUN, BPF_OBJ_GET_INFO_BY_FD});
}

// Netlink sockets that are open.
void allow_open_sockets(Filter &filter)
{
	filter.allow({SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg)});
}

// A socket for each request.
void allow_netlink(Filter &filter)
{
	filter.allow_if(SCMP_SYS(socket), {argument(0, AF_NETLINK)});
	filter.allow({SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(setsockopt)});
}

// Presence: listens, and asks who listens already.
void allow_presence(Filter &filter)
{
	filter.allow_if(SCMP_SYS(socket), {argument(0, AF_UNIX)});
	filter.allow({SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(connect)});
	filter.allow_if(SCMP_SYS(getsockopt), {argument(1, SOL_SOCKET), argument(2, SO_PEERCRED)});
}

void allow_attaching(Filter &filter)
{
	allow_netlink(filter);
	allow_presence(filter);
	filter.allow_bpf({BPF_LINK_CREATE});
}

void allow_pinning(Filter &filter)
{
	filter.allow_bpf({BPF_OBJ_PIN, BPF_OBJ_GET, BPF_LINK_UPDATE, BPF_LINK_DETACH});
	filter.allow({SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat)});
	filter.allow({SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2)});
	filter.allow({SCMP_SYS(openat), SCMP_SYS(fcntl), SCMP_SYS(getdents64)});
	filter.allow({SCMP_SYS(statx), SCMP_SYS(newfstatat), SCMP_SYS(statfs), SCMP_SYS(fstatfs)});
}

Result<void> drop_system_calls(const Needs &needs)
{
	Filter filter;
	allow_watching(filter);
	allow_open_sockets(filter);
	if (needs.attach_more)
		allow_attaching(filter);
	if (needs.detach_by_netlink)
		allow_netlink(filter);
	if (needs.pin_more)
		allow_pinning(filter);
	return filter.load();
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

// Libraries that read a file when they are first asked.
void read_files_now()
{
	tzset();
	libbpf_num_possible_cpus();
}

Result<void> forbid_new_ones()
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(failure, "no_new_privs: " + describe_errno(errno), goes_on);
	return {};
}

Result<void> drop_what_is_not_needed(const Needs &needs, const std::function<bool()> &still_works)
{
	if (capng_get_caps_process() != 0)
		return fail(failure, "its capabilities cannot be read", goes_on);
	auto kept = find_needed(needs, still_works);
	if (!kept)
		return tl::unexpected(kept.error());
	auto dropped = drop_capabilities(*kept, needs.pin_more);
	if (dropped)
		spdlog::debug("capabilities kept: {}; user {}", describe(*kept), geteuid());
	return dropped;
}

} // namespace

Result<void> drop_privileges(const Needs &needs, const std::function<bool()> &still_works)
{
	read_files_now();
	const Result<void> results[] = {forbid_new_ones(), drop_what_is_not_needed(needs, still_works),
					drop_system_calls(needs)};
	const auto failed = std::ranges::find_if(results, [](const auto &result) { return !result; });
	return failed == std::end(results) ? Result<void>{} : *failed;
}

} // namespace tcpwin
