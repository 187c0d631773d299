// SPDX-License-Identifier: Apache-2.0
#include "sinks/json_analysis.hpp"

namespace tcpwin {
namespace {

#define X(type, name, ...) line.member<#name>(object.name);

void put(JsonLine &line, const StallFacts &object)
{
	line.open("stall");
	TCPWIN_STALL_FIELDS(X)
	line.close();
}

void put(JsonLine &line, const WindowFacts &object)
{
	line.open("window");
	TCPWIN_WINDOW_FIELDS(X)
	line.close();
}

void put(JsonLine &line, const std::optional<LimitsFacts> &limits)
{
	if (!limits) {
		line.member<"limits">(nullptr);
		return;
	}
	const LimitsFacts &object = *limits;
	line.open("limits");
	TCPWIN_LIMITS_FIELDS(X)
	line.close();
}

void put(JsonLine &line, const TcpFacts &object)
{
	line.open("tcp");
	TCPWIN_TCP_FIELDS(X)
	line.close();
}

#undef X

} // namespace

void put_analysis(JsonLine &line, const std::optional<Analysis> &analysis)
{
	if (!analysis) {
		line.member<"stall">(nullptr);
		line.member<"window">(nullptr);
		line.member<"limits">(nullptr);
		line.member<"tcp">(nullptr);
		return;
	}
	put(line, analysis->stall);
	put(line, analysis->window);
	put(line, analysis->limits);
	put(line, analysis->tcp);
}

} // namespace tcpwin
