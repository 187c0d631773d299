// SPDX-License-Identifier: Apache-2.0
#include "cli/explain.hpp"

#include <cerrno>
#include <cstdio>

#include "cli/common_options.hpp"
#include "explain/connections.hpp"
#include "explain/input.hpp"
#include "explain/sentences.hpp"

namespace tcpwin {
namespace {

constexpr auto examples =
	R"(FILE is either flow records, the JSON lines that attach and replay write, or a capture, compressed
or not; the type is detected from the content. A capture is read with timeouts of ten minutes and
without aborts, so that a stall stays in one flow. Recorded flows stay as they are: they were cut by
the timeouts in force when they were recorded, and --vlan-tracking does not join them.

Examples:
  # Which endpoints of a capture stopped reading, for how long, and how it ended
  tcpwin-agent explain capture.pcapng

  # The worst three stalls recorded so far
  sudo tcpwin-agent attach eth0 --profile monitor --output flows.json
  tcpwin-agent explain --top 3 flows.json

  # One host only
  jq -c 'select(.a.ip == "192.0.2.1" or .b.ip == "192.0.2.1")' flows.json | tcpwin-agent explain -

Exit codes: 0 done (also if nothing stalled), 1 the file could not be read (to its end),
2 wrong usage.)";

Result<void> read(const ExplainOptions &options, const Input &input, InputKind kind, Connections &connections)
{
	switch (kind) {
	case InputKind::empty:
		return {};
	case InputKind::json:
		return read_records(input, connections);
	case InputKind::capture:
		return read_capture(options.file, options.capture, connections);
	case InputKind::t2:
		return fail("cannot explain " + input.name(),
			    "it holds Tranalyzer2's columns, which do not say when and how long a window was closed",
			    "record with --format json, or give the capture");
	case InputKind::other:
		break;
	}
	return fail("cannot explain " + input.name(), "it holds neither flow records (JSON lines) nor a capture",
		    "use output of tcpwin-agent --format json, or a pcap or pcapng file");
}

} // namespace

void define_explain(OptionList &list, ExplainOptions &options)
{
	list.argument("FILE", options.file, "Flow records (JSON lines) or a capture; - for standard input",
		      OptionList::Needed::required);
	add_setting(list, options.capture.settings, "vlan-tracking");
	list.number("--top", options.top, 1, UINT32_MAX, "Show the N worst stalls");
	list.footer(examples);
}

Result<Exit> explain(const ExplainOptions &options)
{
	auto input = TRY(Input::open(options.file));
	auto kind = TRY(input.kind());
	Connections connections;
	auto done = read(options, input, kind, connections);
	const std::string text = done || connections.flows() ? format_summary(connections, options.top) : "";
	if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0)
		return fail("cannot write to standard output", describe_errno(errno));
	if (!done)
		return tl::unexpected(done.error());
	return Exit::success;
}

} // namespace tcpwin
