// SPDX-License-Identifier: Apache-2.0
//
// The privileges that remain after drop_privileges. Each test calls it in a child process, because privileges cannot be
// regained.
#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <climits>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <functional>
#include <future>
#include <sstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "bpf/hook.hpp"
#include "bpf/program.hpp"
#include "kernel.hpp"
#include "agent/landlock.hpp"
#include "agent/privileges.hpp"
#include "base/unique_fd.hpp"

namespace tcpwin::test {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::MatchesRegex;

constexpr int user = 1000;
constexpr auto none = "0000000000000000";
constexpr auto only_bpf = "0000008000000000";
constexpr auto only_net_admin = "0000000000001000";
constexpr auto bpf_and_net_admin = "0000008000001000";
constexpr auto all_three = "000000c000001000";

bool yes()
{
	return true;
}

// The output of a child process, and the signal that ended it.
std::string in_child(const std::function<std::string()> &look)
{
	int ends[2];
	if (pipe(ends) != 0)
		throw std::system_error(errno, std::generic_category(), "pipe");
	const pid_t child = fork();
	if (child == 0) {
		std::string saw;
		try {
			saw = look();
		} catch (const std::exception &error) {
			saw = std::string("exception: ") + error.what();
		}
		const bool written = ::write(ends[1], saw.data(), saw.size()) == static_cast<ssize_t>(saw.size());
		_exit(written ? 0 : 1);
	}
	close(ends[1]);
	std::string saw;
	char text[4096];
	for (ssize_t size; (size = read(ends[0], text, sizeof(text))) > 0;)
		saw.append(text, static_cast<size_t>(size));
	close(ends[0]);
	int status = 0;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		saw += "killed by signal " + std::to_string(WTERMSIG(status));
	return saw;
}

std::string error_of(const Result<void> &result)
{
	return result ? "" : result.error().sentence() + "\n";
}

// /proc/self/status, opened before privileges are dropped, because later it cannot be.
class ProcStatus {
public:
	ProcStatus() : fd_(open("/proc/self/status", O_RDONLY | O_CLOEXEC)) {}

	// "Uid" -> "0 0 0 0"
	std::string field(const std::string &name) const
	{
		std::string text(8192, '\0');
		lseek(fd_.get(), 0, SEEK_SET);
		text.resize(static_cast<size_t>(std::max<ssize_t>(read(fd_.get(), text.data(), text.size()), 0)));
		std::istringstream lines(text);
		for (std::string line; std::getline(lines, line);)
			if (line.starts_with(name + ":\t")) {
				std::ranges::replace(line, '\t', ' ');
				return line.substr(name.size() + 2);
			}
		return "no field " + name;
	}

	// One line each.
	std::string fields(std::initializer_list<const char *> names) const
	{
		std::string all;
		for (const char *name : names)
			all += std::string(name) + " " + field(name) + "\n";
		return all;
	}

private:
	UniqueFd fd_;
};

// As ProcStatus prints them; the effective set equals the permitted one.
std::string capabilities(const std::string &permitted, const std::string &bounding)
{
	return "CapInh "s + none + "\nCapPrm " + permitted + "\nCapEff " + permitted + "\nCapBnd " + bounding +
	       "\nCapAmb " + none + "\n";
}

std::string capabilities_after(const Needs &needs, const std::function<bool()> &still_works = yes)
{
	const ProcStatus status;
	const std::string error = error_of(drop_privileges(needs, still_works));
	return error + status.fields({"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"});
}

// A system call that the agent does not need, and that is harmless if it succeeds.
struct Call {
	const char *name;
	std::function<int()> error; // 0 or errno
};

int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

int try_fork(long call)
{
	const long child = call == SYS_clone ? fork() : syscall(call);
	if (child == 0)
		_exit(0);
	if (child < 0)
		return errno;
	waitpid(static_cast<pid_t>(child), nullptr, 0);
	return 0;
}

int try_thread()
{
	pthread_t thread;
	const int error = pthread_create(&thread, nullptr, [](void *argument) { return argument; }, nullptr);
	if (error == 0)
		pthread_join(thread, nullptr);
	return error;
}

int try_execve()
{
	char *const nothing[] = {nullptr};
	return errno_of(execve("/nonexistent", nothing, nothing));
}

int try_executable_memory()
{
	constexpr int protection = PROT_READ | PROT_EXEC;
	return mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

int try_socket_option()
{
	int type = 0;
	socklen_t size = sizeof(type);
	return errno_of(getsockopt(-1, SOL_SOCKET, SO_TYPE, &type, &size));
}

int try_peer()
{
	ucred peer{};
	socklen_t size = sizeof(peer);
	return errno_of(getsockopt(-1, SOL_SOCKET, SO_PEERCRED, &peer, &size));
}

int try_bpf(bpf_cmd command)
{
	bpf_attr attributes{};
	attributes.link_create.prog_fd = UINT32_MAX;
	return errno_of(syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

const std::vector<Call> always_refused = {
	{"openat2", [] { return errno_of(syscall(SYS_openat2, -1, nullptr, nullptr, 0)); }},
	{"link", [] { return errno_of(link("/nonexistent", "/nonexistent")); }},
	{"chmod", [] { return errno_of(chmod("/nonexistent", 0700)); }},
	{"execve", try_execve},
	{"execveat", [] { return errno_of(syscall(SYS_execveat, -1, nullptr, nullptr, nullptr, 0)); }},
	{"fork", [] { return try_fork(SYS_clone); }},
#ifdef SYS_fork
	{"fork of old", [] { return try_fork(SYS_fork); }},
	{"open of old", [] { return errno_of(syscall(SYS_open, "/dev/null", O_RDONLY)); }},
#endif
	{"thread", try_thread},
	{"executable memory", try_executable_memory},
	{"mprotect to executable", [] { return errno_of(mprotect(nullptr, 0, PROT_READ | PROT_EXEC)); }},
	{"socket of AF_INET", [] { return errno_of(socket(AF_INET, SOCK_DGRAM, 0)); }},
	{"accept", [] { return errno_of(accept4(-1, nullptr, nullptr, 0)); }},
	{"socket option", try_socket_option},
	{"kill", [] { return errno_of(kill(INT_MAX, 0)); }},
	{"tgkill of another", [] { return errno_of(syscall(SYS_tgkill, INT_MAX, INT_MAX, 0)); }},
	{"ptrace", [] { return errno_of(ptrace(PTRACE_PEEKDATA, 0, nullptr, nullptr)); }},
	{"mount", [] { return errno_of(mount(nullptr, nullptr, nullptr, 0, nullptr)); }},
	{"setresuid", [] { return errno_of(syscall(SYS_setresuid, -1, -1, -1)); }},
	{"setuid", [] { return errno_of(syscall(SYS_setuid, nobody)); }},
	{"unshare", [] { return errno_of(unshare(0)); }},
	{"terminal input", [] { return errno_of(ioctl(-1, TIOCSTI, "x")); }},
	{"freezing a map", [] { return try_bpf(BPF_MAP_FREEZE); }},
};

// Further calls, which are refused unless the needs include them.
const std::vector<Call> netlink = {
	{"socket of AF_NETLINK", [] { return errno_of(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)); }},
	{"bind", [] { return errno_of(bind(-1, nullptr, 0)); }},
	{"getsockname", [] { return errno_of(getsockname(-1, nullptr, nullptr)); }},
	{"setsockopt", [] { return errno_of(setsockopt(-1, SOL_NETLINK, 0, nullptr, 0)); }},
};
const std::vector<Call> linking = {
	{"creating a link", [] { return try_bpf(BPF_LINK_CREATE); }},
};
const std::vector<Call> attaching = {
	{"socket of AF_UNIX", [] { return errno_of(socket(AF_UNIX, SOCK_STREAM, 0)); }},
	{"connect", [] { return errno_of(connect(-1, nullptr, 0)); }},
	{"listen", [] { return errno_of(listen(-1, 1)); }},
	{"peer", try_peer},
};
const std::vector<Call> detaching = {
	{"detaching a link", [] { return try_bpf(BPF_LINK_DETACH); }},
};
const std::vector<Call> pinning = {
	{"pinning", [] { return try_bpf(BPF_OBJ_PIN); }},
	{"opening what is pinned", [] { return try_bpf(BPF_OBJ_GET); }},
	{"updating a link", [] { return try_bpf(BPF_LINK_UPDATE); }},
	{"open", [] { return errno_of(open("/dev/null", O_RDONLY)); }},
	{"fcntl", [] { return errno_of(fcntl(-1, F_GETFD)); }},
	{"mkdir", [] { return errno_of(mkdir("/nonexistent/directory", 0700)); }},
	{"mkdirat", [] { return errno_of(mkdirat(-1, "directory", 0700)); }},
	{"rmdir", [] { return errno_of(rmdir("/nonexistent")); }},
	{"unlink", [] { return errno_of(unlink("/nonexistent")); }},
	{"unlinkat", [] { return errno_of(unlinkat(-1, "nonexistent", 0)); }},
	{"rename", [] { return errno_of(rename("/nonexistent", "/nonexistent")); }},
	{"renameat", [] { return errno_of(renameat(-1, "nonexistent", -1, "nonexistent")); }},
	{"directory", [] { return errno_of(syscall(SYS_getdents64, -1, nullptr, 0)); }},
	{"stat",
	 [] {
		 struct stat status;
		 return errno_of(fstatat(-1, "", &status, 0));
	 }},
	{"statx",
	 [] {
		 struct statx status;
		 return errno_of(statx(-1, "", 0, 0, &status));
	 }},
	{"statfs",
	 [] {
		 struct statfs status;
		 return errno_of(statfs("/nonexistent", &status));
	 }},
};

// The names of the calls that fail with EPERM, one per line.
std::string refused(std::initializer_list<std::vector<Call>> lists)
{
	std::string names;
	for (const std::vector<Call> &calls : lists)
		for (const Call &call : calls)
			if (call.error() == EPERM)
				names += std::string(call.name) + "\n";
	return names;
}

std::string names_of(std::initializer_list<std::vector<Call>> lists)
{
	std::string names;
	for (const std::vector<Call> &calls : lists)
		for (const Call &call : calls)
			names += std::string(call.name) + "\n";
	return names;
}

std::string refused_after(const Needs &needs)
{
	const std::string error = error_of(drop_privileges(needs, yes));
	return error + refused({always_refused, netlink, linking, attaching, detaching, pinning});
}

class PrivilegesTest : public KernelTest {};

TEST_F(PrivilegesTest, NothingIsLeftOfRoot)
{
	const std::string saw = in_child([] {
		const ProcStatus status;
		const gid_t groups[] = {1, 2, 3};
		setgroups(3, groups);
		const std::string error = error_of(drop_privileges({}, yes));
		return error + status.fields({"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
					      "NoNewPrivs", "Seccomp"});
	});
	EXPECT_EQ(saw, "Uid 65534 65534 65534 65534\n"
		       "Gid 65534 65534 65534 65534\n"
		       "Groups  \n" +
			       capabilities(none, none) +
			       "NoNewPrivs 1\n"
			       "Seccomp 2\n");
}

// A user with these capabilities, also as ambient ones, as setpriv or systemd start the agent.
void become_user(std::initializer_list<unsigned> kept, int id = user)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned capability : kept)
		capng_update(CAPNG_ADD,
			     static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
						       CAPNG_AMBIENT),
			     capability);
	if (capng_change_id(id, id, CAPNG_DROP_SUPP_GRP) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0)
		throw std::runtime_error("cannot become a user");
}

TEST_F(PrivilegesTest, NothingIsLeftOfAUserWithCapabilities)
{
	const std::string saw = in_child([] {
		become_user({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON});
		const ProcStatus status;
		const std::string before = status.fields({"CapAmb"});
		const std::string error = error_of(drop_privileges({}, yes));
		return before + error +
		       status.fields({"Uid", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp"});
	});
	EXPECT_EQ(saw, "CapAmb "s + all_three + "\nUid 1000 1000 1000 1000\nCapInh " + none + "\nCapPrm " + none +
			       "\nCapEff " + none + "\nCapAmb " + none + "\nNoNewPrivs 1\nSeccomp 2\n");
}

TEST_F(PrivilegesTest, UserWithoutCapabilities)
{
	const std::string saw = in_child([] {
		become_user({});
		const ProcStatus status;
		const std::string error = error_of(drop_privileges({.attach_more = true}, yes));
		return error + status.fields({"CapPrm", "Seccomp"});
	});
	EXPECT_EQ(saw, "CapPrm "s + none + "\nSeccomp 2\n");
}

TEST_F(PrivilegesTest, PinningKeepsTheUser)
{
	const std::string saw = in_child([] {
		const ProcStatus status;
		const std::string error = error_of(drop_privileges({.pin_below = "/tmp"}, yes));
		return error + status.fields({"Uid", "CapPrm", "CapBnd"});
	});
	EXPECT_EQ(saw, "Uid 0 0 0 0\nCapPrm "s + none + "\nCapBnd " + none + "\n");
}

// A container may leave root without CAP_SETPCAP, or without CAP_SETUID.
TEST_F(PrivilegesTest, RootWithoutSetpcapOrSetuid)
{
	const std::string saw = in_child([] {
		capng_clear(CAPNG_SELECT_CAPS);
		capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_BPF);
		capng_apply(CAPNG_SELECT_CAPS);
		const ProcStatus status;
		const std::string error = error_of(drop_privileges({}, yes));
		return error + status.fields({"Uid", "CapPrm", "NoNewPrivs", "Seccomp"});
	});
	EXPECT_EQ(saw, "Uid 0 0 0 0\nCapPrm "s + none + "\nNoNewPrivs 1\nSeccomp 2\n");
}

void write_file(const char *path, const char *text)
{
	const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
	if (::write(fd.get(), text, strlen(text)) < 0)
		throw std::system_error(errno, std::generic_category(), path);
}

TEST_F(PrivilegesTest, UserNamespaceWithoutNobody)
{
	const std::string saw = in_child([] {
		if (unshare(CLONE_NEWUSER) != 0)
			return "no user namespaces: "s + strerror(errno);
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/uid_map", "0 0 1");
		write_file("/proc/self/gid_map", "0 0 1");
		const ProcStatus status;
		const std::string error = error_of(drop_privileges({}, yes));
		return error + status.fields({"Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp"});
	});
	if (saw.starts_with("no user namespaces"))
		GTEST_SKIP() << saw;
	EXPECT_EQ(saw, "Uid 0 0 0 0\n" + capabilities(none, none) + "Seccomp 2\n");
}

TEST_F(PrivilegesTest, NetlinkTakesOneCapability)
{
	for (const Needs &needs : {Needs{.attach_more = true}, Needs{.change_filters = true}}) {
		const std::string saw = in_child([&] { return capabilities_after(needs); });
		EXPECT_EQ(saw, capabilities(only_net_admin, none));
	}
}

// Simulates an old kernel, which requires more.
bool has(const std::vector<unsigned> &wanted)
{
	capng_get_caps_process();
	return std::ranges::all_of(
		wanted, [](unsigned capability) { return capng_have_capability(CAPNG_EFFECTIVE, capability) == 1; });
}

TEST_F(PrivilegesTest, KeepsCapabilitiesThatTheKernelAsksFor)
{
	const std::pair<std::vector<unsigned>, const char *> cases[] = {
		{{CAP_BPF}, only_bpf},
		{{CAP_BPF, CAP_NET_ADMIN}, bpf_and_net_admin},
		{{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON}, all_three},
	};
	for (const auto &[wanted, kept] : cases) {
		const std::string saw =
			in_child([&wanted = wanted] { return capabilities_after({}, [&] { return has(wanted); }); });
		EXPECT_EQ(saw, capabilities(kept, none));
	}
}

TEST_F(PrivilegesTest, ErrorLeavesTheCapabilitiesAndTheRestIsGivenUp)
{
	const std::string saw = in_child([] {
		const ProcStatus status;
		const std::string before = status.fields({"Uid", "CapEff", "CapPrm"});
		const std::string error = error_of(drop_privileges({}, [] { return has({CAP_SYS_ADMIN}); }));
		return error + (status.fields({"Uid", "CapEff", "CapPrm"}) == before ? "unchanged\n" : "changed\n") +
		       status.fields({"NoNewPrivs", "Seccomp"});
	});
	EXPECT_EQ(saw, "cannot drop all privileges: capabilities: without them the kernel refuses to sweep the flow "
		       "table; the agent keeps them\nunchanged\nNoNewPrivs 1\nSeccomp 2\n");
}

// Like container runtimes that forbid further filters.
void forbid_filters()
{
	const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
	seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0);
	seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
			 SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
	seccomp_load(filter.get());
}

TEST_F(PrivilegesTest, CapabilitiesAreGivenUpWithoutSeccomp)
{
	const std::string saw = in_child([] {
		const ProcStatus status;
		forbid_filters();
		const std::string error = error_of(drop_privileges({}, yes));
		return error + status.fields({"Uid", "CapPrm", "Seccomp_filters"});
	});
	EXPECT_TRUE(saw.starts_with("cannot drop all privileges: seccomp: ")) << saw;
	EXPECT_TRUE(saw.ends_with("; the agent keeps them\nUid 65534 65534 65534 65534\nCapPrm "s + none +
				  "\nSeccomp_filters 1\n"))
		<< saw;
}

// Before privileges are dropped, no call of the lists is refused.
TEST_F(PrivilegesTest, NothingIsRefusedBefore)
{
	const std::string saw = in_child([] {
		become_user({}, nobody);
		return refused({always_refused, netlink, linking, attaching, detaching, pinning});
	});
	EXPECT_EQ(saw, "");
}

TEST_F(PrivilegesTest, RefusesWhatTheAgentDoesNotNeed)
{
	EXPECT_EQ(in_child([] { return refused_after({}); }),
		  names_of({always_refused, netlink, linking, attaching, detaching, pinning}));
	EXPECT_EQ(in_child([] { return refused_after({.attach_again = true}); }),
		  names_of({always_refused, netlink, attaching, detaching, pinning}));
	EXPECT_EQ(in_child([] { return refused_after({.change_filters = true}); }),
		  names_of({always_refused, linking, attaching, detaching, pinning}));
	EXPECT_EQ(in_child([] { return refused_after({.attach_more = true}); }),
		  names_of({always_refused, detaching, pinning}));
	EXPECT_EQ(in_child([] { return refused_after({.detach_links = true}); }),
		  names_of({always_refused, netlink, linking, attaching, pinning}));
	EXPECT_EQ(in_child([] {
			  return refused_after({.attach_more = true, .detach_links = true, .pin_below = "/tmp"});
		  }),
		  names_of({always_refused}));
}

TEST_F(PrivilegesTest, ThreadsAreFilteredToo)
{
	const std::string saw = in_child([] {
		std::promise<void> dropped;
		std::future<int> error = std::async(std::launch::async, [&] {
			dropped.get_future().wait();
			return errno_of(open("/dev/null", O_RDONLY));
		});
		const std::string failure = error_of(drop_privileges({}, yes));
		dropped.set_value();
		return failure + strerrorname_np(error.get());
	});
	EXPECT_EQ(saw, "EPERM");
}

TEST_F(PrivilegesTest, AbortStillEndsTheProcess)
{
	const std::string saw = in_child([]() -> std::string {
		if (auto dropped = drop_privileges({}, yes); !dropped)
			return dropped.error().sentence();
		abort();
	});
	EXPECT_EQ(saw, "killed by signal " + std::to_string(SIGABRT));
}

tcpwin_sweep sweep_now()
{
	tcpwin_sweep request{};
	request.now_ns = TCPWIN_CLOCK_NOW;
	return request;
}

TEST_F(PrivilegesTest, UncaughtExceptionIsStillNamed)
{
	int ends[2];
	ASSERT_EQ(pipe(ends), 0);
	const std::string saw = in_child([&]() -> std::string {
		dup2(ends[1], STDERR_FILENO);
		if (auto dropped = drop_privileges({}, yes); !dropped)
			return dropped.error().sentence();
		[]() noexcept { static_cast<void>(std::string("short").at(99)); }();
		return "not reached";
	});
	char said[512] = {};
	EXPECT_GT(read(ends[0], said, sizeof(said) - 1), 0);
	close(ends[0]);
	close(ends[1]);
	EXPECT_THAT(said, HasSubstr("99"));
	EXPECT_EQ(saw, "killed by signal " + std::to_string(SIGABRT));
}

Bytes from_client(uint16_t port)
{
	return Frame().ethernet().ipv4("10.0.0.1", "10.0.0.2").tcp(port, 80, TCPWIN_FLAG_ACK).bytes();
}

TEST_F(PrivilegesTest, ProgramStillSweepsAndCounts)
{
	const std::string saw = in_child([]() -> std::string {
		auto program = Program::load({.tracking = {.max_flows = 16}, .test_runs = true});
		if (!program)
			return program.error().sentence();
		const auto run = [&](uint16_t port) {
			return error_of(program->run_at(from_client(port), 54, boottime_ns()));
		};
		std::string seen = run(1000);
		seen += error_of(drop_privileges({}, [&] { return program->sweep(sweep_now()).has_value(); }));
		seen += run(1001);
		tcpwin_sweep last = sweep_now();
		last.shutdown = 1;
		if (auto swept = program->sweep(last); !swept)
			return seen + swept.error().sentence();
		int records = 0;
		program->drain([&](const tcpwin_record &) { records++; });
		auto counters = program->counters();
		if (!counters)
			return seen + counters.error().sentence();
		return seen + fmt::format("{} records, {} packets", records, counters->value[TCPWIN_COUNTER_TRACKED]);
	});
	EXPECT_EQ(saw, "2 records, 2 packets");
}

TEST_F(PrivilegesTest, MapsAreStillReadAndWritten)
{
	const std::string saw = in_child([] {
		Kernel kernel({.flows = 16});
		const std::string error = error_of(drop_privileges({}, yes));
		const tcpwin_key key = parse(from_client(1000)).key;
		tcpwin_flow flow{};
		flow.id = 7;
		kernel.put(key, flow);
		return error + fmt::format("{} flow, number {}", kernel.flows().size(), kernel.flow(key).value().id);
	});
	EXPECT_EQ(saw, "1 flow, number 7");
}

// Collects the expectations that failed, with errno.
class Expectations {
public:
	explicit Expectations(std::string failures) : failures_(std::move(failures)) {}

	void expect(const char *name, bool holds)
	{
		if (!holds)
			failures_ += name + ": "s + strerror(errno) + "\n";
	}
	const std::string &failures() const { return failures_; }

private:
	std::string failures_;
};

TEST_F(PrivilegesTest, OpenFilesStillWork)
{
	const std::string saw = in_child([] {
		const UniqueFd file(memfd_create("records", MFD_CLOEXEC)), poll(epoll_create1(EPOLL_CLOEXEC));
		const int other = dup(file.get());
		const iovec part{const_cast<char *>("y"), 1};
		struct stat status;
		epoll_event event;
		Expectations calls(error_of(drop_privileges({}, yes)));
		calls.expect("write", ::write(file.get(), "x", 1) == 1);
		calls.expect("writev", writev(file.get(), &part, 1) == 1);
		calls.expect("fstat", fstat(file.get(), &status) == 0 && status.st_size == 2);
		calls.expect("lseek", lseek(file.get(), 0, SEEK_SET) == 0);
		calls.expect("isatty", isatty(file.get()) == 0 && errno == ENOTTY);
		calls.expect("epoll_wait", epoll_wait(poll.get(), &event, 1, 0) == 0);
		calls.expect("epoll_pwait", epoll_pwait(poll.get(), &event, 1, 0, nullptr) == 0);
		calls.expect("close", close(other) == 0);
		return calls.failures();
	});
	EXPECT_EQ(saw, "");
}

TEST_F(PrivilegesTest, OpenSocketsStillWork)
{
	const std::string saw = in_child([] {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
			return std::string(strerror(errno));
		pollfd fds[] = {{pair[1], POLLIN, 0}};
		char byte;
		iovec part{&byte, 1};
		msghdr message{};
		message.msg_iov = &part;
		message.msg_iovlen = 1;
		Expectations calls(error_of(drop_privileges({}, yes)));
		calls.expect("send", send(pair[0], "x", 1, MSG_NOSIGNAL) == 1);
		calls.expect("sendmsg", sendmsg(pair[0], &message, MSG_NOSIGNAL) == 1);
		calls.expect("poll", poll(fds, 1, 0) == 1);
		calls.expect("ppoll", ppoll(fds, 1, nullptr, nullptr) == 1);
		calls.expect("recv", recv(pair[1], &byte, 1, 0) == 1);
		calls.expect("recvmsg", recvmsg(pair[1], &message, 0) == 1);
		return calls.failures();
	});
	EXPECT_EQ(saw, "");
}

TEST_F(PrivilegesTest, TimeMemoryAndSignalsStillWork)
{
	const std::string saw = in_child([] {
		constexpr size_t page = 4096;
		constexpr int access = PROT_READ | PROT_WRITE;
		const timespec moment{0, 1};
		timespec now;
		sigset_t blocked;
		uint32_t word = 0;
		Expectations calls(error_of(drop_privileges({}, yes)));
		calls.expect("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0); // no vDSO
		calls.expect("nanosleep", syscall(SYS_nanosleep, &moment, nullptr) == 0);
		calls.expect("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, nullptr) == 0);
		calls.expect("membarrier", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) >= 0);
		void *memory = mmap(nullptr, page, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		calls.expect("mmap", memory != MAP_FAILED);
		memory = mremap(memory, page, 2 * page, MREMAP_MAYMOVE);
		calls.expect("mremap", memory != MAP_FAILED);
		calls.expect("mprotect", mprotect(memory, page, access) == 0);
		calls.expect("madvise", madvise(memory, page, MADV_DONTNEED) == 0);
		calls.expect("munmap", munmap(memory, 2 * page) == 0);
		calls.expect("brk", syscall(SYS_brk, 0) > 0);
		calls.expect("futex", syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0) == 0);
		calls.expect("sigprocmask", sigprocmask(SIG_BLOCK, nullptr, &blocked) == 0);
		calls.expect("signal", signal(SIGUSR1, [](int) {}) != SIG_ERR);
		calls.expect("handler of a signal", raise(SIGUSR1) == 0);
		return calls.failures();
	});
	EXPECT_EQ(saw, "");
}

// Runs in a new network namespace, which has only a loopback device.
template <typename Prepare, typename Act>
std::string beside_loopback(const Needs &needs, const Prepare &prepare, const Act &act)
{
	return in_child([&]() -> std::string {
		if (unshare(CLONE_NEWNET) != 0)
			return "no network namespaces";
		auto program = Program::load({.tracking = {.max_flows = 16}});
		if (!program)
			return program.error().sentence();
		prepare();
		const auto still_works = [&] { return program->sweep(sweep_now()).has_value(); };
		const std::string error = error_of(drop_privileges(needs, still_works));
		return error + act(program->fds());
	});
}

TEST_F(PrivilegesTest, AttachesToMoreInterfaces)
{
	const std::string saw = beside_loopback(
		{.attach_more = true}, [] {},
		[](const ProgramFds &programs) {
			Interface loopback;
			loopback.index = 1;
			loopback.name = "lo";
			loopback.ethernet = true;
			std::string attached;
			for (TcHook tc : {TcHook::automatic, TcHook::clsact}) {
				const auto in = Hook::attach_ingress(loopback, IngressMode::automatic, tc, programs);
				const auto out = Hook::attach_egress(loopback, tc, programs);
				const auto again = Hook::attach_ingress(loopback, IngressMode::automatic, tc, programs);
				for (const auto *hook : {&in, &out, &again})
					attached += *hook ? std::string(name_of((*hook)->kind())) + "\n" :
							    hook->error().sentence() + "\n";
			}
			return attached;
		});
	EXPECT_THAT(saw, MatchesRegex("generic XDP\n(TCX|clsact)\ncannot attach to lo: it already has the XDP program "
				      "with id .*\ngeneric XDP\nclsact\ncannot attach to lo: it already has .*\n"));
}

// Makes the system calls of std::filesystem and libbpf, in a directory that only root can enter.
std::string pin_and_unpin(int map, const std::filesystem::path &top)
{
	namespace fs = std::filesystem;
	std::error_code error;
	fs::create_directories(top / "new" / "maps", error);
	if (error || bpf_obj_pin(map, (top / "new" / "maps" / "flows").c_str()) != 0)
		return "not pinned: " + error.message() + ", " + strerror(errno);
	fs::rename(top / "new", top / "old", error);
	if (error || !fs::is_directory(top / "old"))
		return "not renamed: " + error.message();
	std::string seen;
	for (const auto &entry : fs::recursive_directory_iterator(top, error))
		seen += entry.path().filename().string() + "\n";
	const UniqueFd again(bpf_obj_get((top / "old" / "maps" / "flows").c_str()));
	const auto removed = fs::remove_all(top / "old", error);
	return seen + fmt::format("{}, {} removed\n", again ? "opened" : strerror(errno), removed);
}

TEST_F(PrivilegesTest, PinsMore)
{
	const std::string saw = in_child([]() -> std::string {
		const std::filesystem::path bpffs = "/sys/fs/bpf";
		if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
		    mount("bpf", bpffs.c_str(), "bpf", 0, nullptr) != 0 || mkdir((bpffs / "top").c_str(), 0700) != 0)
			return "no BPF file system: "s + strerror(errno);
		const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "flows", 4, 4, 1, nullptr));
		const std::string error =
			error_of(drop_privileges({.attach_more = true, .pin_below = bpffs / "top"}, yes));
		return error + pin_and_unpin(map.get(), bpffs / "top");
	});
	EXPECT_EQ(saw, "old\nmaps\nflows\nopened, 3 removed\n");
}

// In a scratch directory, whose owner tries to reach it from the process that pins. Each call must fail.
std::string reached_outside(const std::filesystem::path &scratch, const std::filesystem::path &pins, int map)
{
	const std::string file = scratch / "file", other = scratch / "other", directory = scratch / "directory";
	const Call calls[] = {
		{"read", [&] { return errno_of(open(file.c_str(), O_RDONLY)); }},
		{"write", [&] { return errno_of(open(file.c_str(), O_WRONLY)); }},
		{"truncate", [&] { return errno_of(open(file.c_str(), O_WRONLY | O_TRUNC)); }},
		{"create", [&] { return errno_of(open(other.c_str(), O_WRONLY | O_CREAT, 0600)); }},
		{"list", [&] { return errno_of(open(scratch.c_str(), O_RDONLY | O_DIRECTORY)); }},
		{"unlink", [&] { return errno_of(unlink(file.c_str())); }},
		{"unlinkat", [&] { return errno_of(unlinkat(AT_FDCWD, file.c_str(), 0)); }},
		{"rename", [&] { return errno_of(rename(file.c_str(), other.c_str())); }},
		{"replace a pin", [&] { return errno_of(rename(file.c_str(), (pins / "file").c_str())); }},
		{"mkdir", [&] { return errno_of(mkdir(other.c_str(), 0700)); }},
		{"rmdir", [&] { return errno_of(rmdir(directory.c_str())); }},
		{"pin", [&] { return -bpf_obj_pin(map, (pins.parent_path() / "outside").c_str()); }},
		{"rmdir of the pins", [&] { return errno_of(rmdir(pins.c_str())); }},
	};
	std::string reached;
	for (const Call &call : calls)
		if (const int error = call.error(); error != EACCES && error != EXDEV)
			reached += fmt::format("{}: {}\n", call.name, strerror(error));
	return reached;
}

TEST_F(PrivilegesTest, PinsNowhereElse)
{
	if (!has_landlock())
		GTEST_SKIP() << "this kernel has no Landlock";
	const std::string saw = in_child([]() -> std::string {
		const std::filesystem::path bpffs = "/sys/fs/bpf", scratch = "/tmp";
		if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
		    mount("bpf", bpffs.c_str(), "bpf", 0, nullptr) != 0 || mkdir((bpffs / "top").c_str(), 0700) != 0 ||
		    mount("tmpfs", scratch.c_str(), "tmpfs", 0, nullptr) != 0)
			return "no file systems: "s + strerror(errno);
		const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "flows", 4, 4, 1, nullptr));
		const UniqueFd file(open((scratch / "file").c_str(), O_WRONLY | O_CREAT, 0600));
		if (!file || mkdir((scratch / "directory").c_str(), 0700) != 0)
			return "no scratch files: "s + strerror(errno);
		const std::string error =
			error_of(drop_privileges({.attach_more = true, .pin_below = bpffs / "top"}, yes));
		return error + reached_outside(scratch, bpffs / "top", map.get()) +
		       (::write(file.get(), "x", 1) == 1 ? "what is open still works\n" : "it cannot write\n");
	});
	EXPECT_EQ(saw, "what is open still works\n");
}

// Attaches a program that does nothing to the clsact qdisc of the loopback device.
struct TcFilter {
	bpf_tc_hook hook{};
	bpf_tc_opts options{};

	TcFilter()
	{
		hook.sz = sizeof(hook);
		hook.ifindex = 1;
		hook.attach_point = BPF_TC_INGRESS;
		options.sz = sizeof(options);
		options.handle = options.priority = 1;
	}
	int attach()
	{
		bpf_insn code[2]{};
		code[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
		code[0].imm = TC_ACT_UNSPEC;
		code[1].code = BPF_JMP | BPF_EXIT;
		const int program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "nothing", "GPL", code, 2, nullptr);
		options.prog_fd = program;
		int error = bpf_tc_hook_create(&hook);
		if (error == 0)
			error = bpf_tc_attach(&hook, &options);
		options.prog_fd = options.prog_id = options.flags = 0;
		close(program);
		return error;
	}
	int detach() { return bpf_tc_detach(&hook, &options); }
};

TEST_F(PrivilegesTest, DetachesByNetlink)
{
	for (const Needs &needs : {Needs{.change_filters = true}, Needs{.attach_more = true}, Needs{}}) {
		TcFilter filter;
		const std::string saw = beside_loopback(
			needs,
			[&] {
				if (int error = filter.attach())
					throw std::system_error(-error, std::generic_category(), "attach");
			},
			[&](const ProgramFds &) { return fmt::format("{}", filter.detach()); });
		const bool may = needs.change_filters || needs.attach_more;
		EXPECT_EQ(saw, may ? "0" : std::to_string(-EPERM));
	}
}

} // namespace
} // namespace tcpwin::test
