// SPDX-License-Identifier: Apache-2.0
#include "check/machine.hpp"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <tuple>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.hpp"
#include "attribution/cgroups.hpp"
#include "attribution/socket_diag.hpp"
#include "base/unique_fd.hpp"
#include "bpf/socket_owners.hpp"
#include "bpf/features.hpp"
#include "bpf/object_info.hpp"
#include "bpf/pins.hpp"
#include "bpf/tcx.hpp"

namespace tcpwin {
namespace {

constexpr auto as_root = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

using Version = std::tuple<int, int>;
constexpr Version needed_version{5, 18};
constexpr Version without_memlock{5, 11};

struct Kernel {
	std::string release = "unknown";
	Version version{};
};

Kernel this_kernel()
{
	utsname names{};
	Kernel kernel;
	if (uname(&names) != 0)
		return kernel;
	kernel.release = names.release;
	int major = 0, minor = 0;
	if (std::sscanf(names.release, "%d.%d", &major, &minor) == 2)
		kernel.version = {major, minor};
	return kernel;
}

// Loads and closes an XDP program that does nothing: trying is the only reliable test of permission.
struct Trial {
	int error = 0;
	bool compiled = false;
};

Trial load_trial()
{
	const bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
	};
	const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_XDP, "tcpwin_trial", "GPL", instructions,
					     std::size(instructions), nullptr));
	if (!program)
		return {.error = errno};
	const auto info = object_info<bpf_prog_info>(program.get());
	return {.compiled = info && info->jited_prog_len > 0};
}

// Some distributions backport all features to older kernels, so the version alone does not decide.
void check_kernel(Checklist &list, const Kernel &kernel)
{
	if (kernel.version >= needed_version)
		list.add("kernel", Answer::yes, kernel.release);
	else
		list.add("kernel", Answer::unknown, kernel.release + ": Linux 5.18 or later has all features");
}

void check_btf(Checklist &list)
{
	constexpr auto path = "/sys/kernel/btf/vmlinux";
	const bool present = access(path, F_OK) == 0;
	list.add("BTF", yes_or_no(present), present ? path : "none; only the owners of sockets need it");
}

void check_jit(Checklist &list, const Trial &trial)
{
	constexpr auto slower = "the interpreter runs programs, which is slower";
	if (trial.error == 0)
		return list.add("JIT", yes_or_no(trial.compiled),
				trial.compiled ? "programs are compiled to machine code" : slower);
	int enabled = -1; // only the initial network namespace shows it
	if (!(std::ifstream("/proc/sys/net/core/bpf_jit_enable") >> enabled))
		return list.add("JIT", Answer::unknown, "net.core.bpf_jit_enable cannot be read here");
	list.add("JIT", yes_or_no(enabled > 0),
		 fmt::format("net.core.bpf_jit_enable = {}{}{}", enabled, enabled ? "" : ": ", enabled ? "" : slower));
}

void check_features(Checklist &list, const Trial &trial)
{
	for (const KernelFeature &feature : kernel_features()) {
		if (trial.error == EPERM) {
			list.add(feature.name, Answer::unknown,
				 fmt::format("unknown without CAP_BPF; Linux {} or later has it", feature.since));
		} else if (feature.present()) {
			list.add(feature.name, Answer::yes, fmt::format("since Linux {}", feature.since));
		} else {
			list.add(feature.name, Answer::no, fmt::format("Linux {} or later has it", feature.since));
			list.obstruct(fmt::format("this kernel has no {}; Linux {} or later has it", feature.name,
						  feature.since));
		}
	}
}

void check_tcx(Checklist &list, std::optional<bool> tcx)
{
	if (!tcx)
		list.add("TCX", Answer::unknown,
			 fmt::format("unknown without CAP_NET_ADMIN; since Linux {}", tcx_since));
	else if (*tcx)
		list.add("TCX", Answer::yes, fmt::format("since Linux {}", tcx_since));
	else
		list.add("TCX", Answer::no, fmt::format("Linux {} or later has it; clsact is used", tcx_since));
}

std::vector<std::string> missing_capabilities()
{
	std::vector<std::string> missing;
	if (capng_get_caps_process() != 0)
		return {"(unknown)"};
	const auto have = [](unsigned capability) { return capng_have_capability(CAPNG_EFFECTIVE, capability); };
	// The kernel accepts CAP_SYS_ADMIN instead of the two capabilities that were split off from it.
	const bool admin = have(CAP_SYS_ADMIN);
	if (!admin && !have(CAP_BPF))
		missing.push_back("CAP_BPF");
	if (!have(CAP_NET_ADMIN))
		missing.push_back("CAP_NET_ADMIN");
	if (!admin && !have(CAP_PERFMON))
		missing.push_back("CAP_PERFMON");
	return missing;
}

void check_capabilities(Checklist &list, const Trial &trial)
{
	const std::vector<std::string> missing = missing_capabilities();
	if (!missing.empty()) {
		const std::string text = fmt::format("missing {}", fmt::join(missing, " "));
		list.add("capabilities", Answer::no, text);
		list.obstruct(fmt::format("{}; {}", text, as_root));
	} else if (trial.error == EPERM) {
		list.add("capabilities", Answer::no, "not enough to load a program: inside a container?");
		list.obstruct("the kernel does not let this user load programs despite the capabilities; run "
			      "outside the container or user namespace");
	} else {
		list.add("capabilities", Answer::yes, "CAP_BPF CAP_NET_ADMIN CAP_PERFMON");
	}
}

void check_memlock(Checklist &list, const Kernel &kernel)
{
	if (kernel.version >= without_memlock)
		list.add("memlock", Answer::yes, "no limit: maps count towards the memory cgroup");
	else
		list.add("memlock", Answer::unknown, "see ulimit -l; Linux 5.11 or later does not need it");
}

void check_bpffs(Checklist &list)
{
	struct statfs filesystem{};
	if (statfs(default_bpffs, &filesystem) != 0 || filesystem.f_type != BPF_FS_MAGIC)
		list.add("bpffs", Answer::no, fmt::format("for --persistent: mount -t bpf bpf {}", default_bpffs));
	else if (access(default_bpffs, W_OK | X_OK) != 0)
		list.add("bpffs", Answer::no,
			 fmt::format("for --persistent: no permission to write {}", default_bpffs));
	else
		list.add("bpffs", Answer::yes, fmt::format("{} (for --persistent only)", default_bpffs));
}

// What names the programs of this host in records. Nothing else needs it.
void check_attribution(Checklist &list, const Trial &trial)
{
	const bool noted = can_note_sockets();
	if (trial.error == EPERM)
		list.add("sockets at tc", Answer::unknown, "unknown without CAP_BPF");
	else
		list.add("sockets at tc", yes_or_no(noted),
			 noted ? "bpf_skb_cgroup_id" : "the kernel has no bpf_skb_cgroup_id");
	const auto diag = SocketDiag::open();
	list.add("socket state", yes_or_no(diag.has_value()), diag ? "sock_diag" : diag.error().why);
	const auto owners = SocketOwners::open();
	if (owners)
		list.add("socket owners", Answer::yes, "BPF iterator over open files; since Linux 5.11");
	else if (trial.error == EPERM)
		list.add("socket owners", Answer::unknown, "needs CAP_BPF and CAP_PERFMON; since Linux 5.11");
	else
		list.add("socket owners", Answer::no, owners.error().why + ": records have no pids");
	const std::string cgroups = find_cgroup2();
	list.add("cgroup names", yes_or_no(!cgroups.empty()),
		 cgroups.empty() ? "cgroup2 is not mounted: records name no cgroup" : cgroups);
}

} // namespace

std::optional<bool> check_machine(Checklist &list)
{
	libbpf_set_print(nullptr); // failing probes are not errors
	const Kernel kernel = this_kernel();
	const Trial trial = load_trial();
	const std::optional<bool> tcx = has_tcx();
	check_kernel(list, kernel);
	check_btf(list);
	check_jit(list, trial);
	check_features(list, trial);
	check_tcx(list, tcx);
	check_capabilities(list, trial);
	check_memlock(list, kernel);
	check_bpffs(list);
	check_attribution(list, trial);
	return tcx;
}

} // namespace tcpwin
