// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"

#include "cli/attach.hpp"
#include "cli/check.hpp"
#include "cli/detach.hpp"
#include "cli/explain.hpp"
#include "cli/flows.hpp"
#include "cli/replay.hpp"
#include "cli/set.hpp"
#include "cli/status.hpp"
#include "cli/top.hpp"

namespace tcpwin {

std::span<const Command> all_commands()
{
	static const Command commands[] = {
		make_command("attach", "Watch interfaces and write flow records", define_attach, attach),
		make_command("replay", "Read captures and write the records that attach would have written",
			     define_replay, replay),
		make_command("explain", "Describe the worst stalls of flow records or of a capture", define_explain,
			     explain),
		make_command("check", "Show whether kernel, user and interface allow attaching", define_check, check),
		make_command("status", "Show what is attached and its counters", define_status, status),
		make_command("flows", "List the flows that have not ended", define_flows, list_flows),
		make_command("top", "Show flows and peers full-screen, updated continuously", define_top, top),
		make_command("set", "Change or print the settings of running agents", define_set, set),
		make_command("detach", "Detach what persistent agents left, and write the remaining flows",
			     define_detach, detach),
	};
	return commands;
}

} // namespace tcpwin
