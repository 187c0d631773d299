// SPDX-License-Identifier: Apache-2.0
#include "live/programs.hpp"

#include <fmt/format.h>

#include "base/printable.hpp"

namespace tcpwin {

std::string program_text(const Local &local)
{
	if (!local)
		return {};
	if (const auto &pids = local->pids; !pids.empty())
		return fmt::format("{}[{}{}]", printable(local->command), pids[0],
				   pids.size() > 1 ? fmt::format("+{}", pids.size() - 1) : "");
	if (local->cgroup && !local->cgroup->container.empty())
		return local->cgroup->container.substr(0, short_container_id);
	if (local->cgroup && !local->cgroup->unit.empty())
		return printable(local->cgroup->unit);
	return fmt::format("uid={}", local->uid);
}

Locals Programs::of(const tcpwin_record &record)
{
	const tcpwin_flow &flow = record.flow;
	const bool ask = is_held_up(flow);
	Locals locals;
	for (unsigned i : {0, 1})
		locals[i] = ask ? attribution_.ask(record.key, i, flow.socket[i]) : attribution_.name(flow.socket[i]);
	return locals;
}

std::string Programs::text(const LiveFlow &flow)
{
	std::string text;
	for (unsigned side : {0, 1})
		if (const std::string one = program_text(attribution_.name(flow.socket[side])); !one.empty())
			text += fmt::format("{}{}:{}", text.empty() ? "" : ",", side ? 'B' : 'A', one);
	return text.empty() ? "-" : text;
}

} // namespace tcpwin
