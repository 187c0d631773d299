// SPDX-License-Identifier: Apache-2.0
#include "cli/explain.hpp"

#include <cerrno>
#include <cstdio>

#include "explain/connections.hpp"
#include "explain/input.hpp"
#include "explain/sentences.hpp"
#include "explain/source.hpp"

namespace tcpwin {
namespace {

Result<void> read(const ExplainOptions &options, const Input &input, InputKind kind, Connections &connections)
{
	switch (kind) {
	case InputKind::empty:
		return {};
	case InputKind::json:
		return read_records(input, connections);
	case InputKind::capture:
		return read_capture(options.file, connections);
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
