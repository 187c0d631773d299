// SPDX-License-Identifier: Apache-2.0
#include "cli/check.hpp"

#include <cerrno>
#include <cstdio>

#include "base/printable.hpp"
#include "check/checklist.hpp"
#include "check/device.hpp"
#include "check/machine.hpp"

namespace tcpwin {
namespace {

constexpr auto examples =
	R"(Attaches nothing. Prints one line per check (yes, no, or ? if not known, and why) and a verdict.

Examples:
  # What kernel and user allow
  tcpwin-agent check

  # Also whether and how this interface can be watched
  sudo tcpwin-agent check eth0

Exit codes: 0 attach would work, 1 unknown, 2 wrong usage, 69 attach would fail.)";

Result<void> print(const std::string &text)
{
	if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return {};
}

} // namespace

void define_check(OptionList &list, CheckOptions &options)
{
	list.argument("IFACE", options.interface, "Network interface to check");
	list.footer(examples);
}

Result<Exit> check(const CheckOptions &options)
{
	Checklist list;
	std::string way;
	const auto tcx = check_machine(list);
	if (!options.interface.empty()) {
		auto found = TRY(check_device(list, options.interface, tcx));
		way = ": " + found;
	}

	const std::string attach = options.interface.empty() ? "attach" : "attach " + options.interface;
	const bool works = list.obstacle().empty();
	const std::string verdict = works ? fmt::format("{} would work{}\n", attach, way) :
					    fmt::format("{} would fail: {}\n", attach, list.obstacle());
	TRY(print(escape_controls(list.text() + verdict, "\n")));
	return works ? Exit::success : Exit::unsupported;
}

} // namespace tcpwin
