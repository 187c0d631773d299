// SPDX-License-Identifier: Apache-2.0
#include "cli/check.hpp"

#include <cerrno>
#include <cstdio>

#include "check/checklist.hpp"
#include "check/device.hpp"
#include "check/machine.hpp"

namespace tcpwin {
namespace {

Result<void> print(const std::string &text)
{
	if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	return {};
}

} // namespace

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
	TRY(print(list.text() + verdict));
	return works ? Exit::success : Exit::unsupported;
}

} // namespace tcpwin
