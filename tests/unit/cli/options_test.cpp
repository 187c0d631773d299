// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "cli/attach.hpp"
#include "cli/commands.hpp"
#include "cli/flows.hpp"
#include "cli/replay.hpp"
#include "cli/top.hpp"
#include "unit/cli/parsed.hpp"

using namespace std::chrono_literals;
using namespace tcpwin;
using testing::_;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

AttachOptions attach_options(std::vector<std::string> words)
{
	auto parsed = parse_options(define_attach, std::move(words));
	EXPECT_TRUE(parsed) << parsed.error().sentence();
	return *parsed;
}

} // namespace

TEST(Options, DefaultsAreTheTutorialsConstants)
{
	const AttachOptions options = attach_options({"eth0"});
	EXPECT_THAT(options.session.watch.interfaces, ElementsAre("eth0"));
	EXPECT_EQ(options.session.watch.mode, IngressMode::automatic);
	EXPECT_EQ(options.output.flows.path, "-");
	EXPECT_EQ(options.output.flows.format, Format::json);
	EXPECT_FALSE(options.session.duration);
	EXPECT_EQ(options.session.poll_interval, 100ms);
	EXPECT_EQ(options.tracking.max_flows, 262'144U);
	EXPECT_TRUE(options.tracking.analyze_stalls);
	EXPECT_EQ(options.tracking.config.window_threshold, 1U);
	EXPECT_EQ(options.tracking.config.abort_count, 2U);
	EXPECT_THAT(options.tracking.config.timeout_ns,
		    ElementsAre(10'000'000'000, 2'200'000'000, 1'000'000'000, 1'000'000, _, 0, _, _));
}

TEST(Options, EachIsParsed)
{
	const AttachOptions options =
		attach_options({"eth0", "eth1",           "eth0", "--mode",          "generic", "--output",
				"x",    "--format",       "t2",   "--duration",      "30s",     "--poll-interval",
				"1s",   "--max-flows",    "7",    "--win-threshold", "100",     "--abort-count",
				"3",    "--timeout-new",  "182s", "--timeout-bgn",   "2s",      "--timeout-est",
				"4s",   "--timeout-abrt", "2ms",  "--no-analysis",   "--quiet"});
	EXPECT_THAT(options.session.watch.interfaces, ElementsAre("eth0", "eth1"));
	EXPECT_EQ(options.session.watch.mode, IngressMode::generic);
	EXPECT_EQ(options.output.flows.path, "x");
	EXPECT_EQ(options.output.flows.format, Format::t2);
	EXPECT_EQ(options.session.duration, 30s);
	EXPECT_EQ(options.session.poll_interval, 1s);
	EXPECT_EQ(options.tracking.max_flows, 7U);
	EXPECT_FALSE(options.tracking.analyze_stalls);
	EXPECT_EQ(options.tracking.config.window_threshold, 100U);
	EXPECT_EQ(options.tracking.config.abort_count, 3U);
	EXPECT_THAT(options.tracking.config.timeout_ns,
		    ElementsAre(182'000'000'000, 2'000'000'000, 4'000'000'000, 2'000'000, _, 0, _, _));
	EXPECT_EQ(options.verbosity, Verbosity::quiet);
}

TEST(Options, WrongUsageNamesOptionAndValue)
{
	const struct {
		std::vector<std::string> words;
		const char *option;
		const char *value;
	} table[] = {
		{{"attach", "eth0", "--timeout-est", "5parsecs"}, "--timeout-est", "parsecs"},
		{{"attach", "eth0", "--timeout-est", "10"}, "--timeout-est", "10"},
		{{"attach", "eth0", "--duration", "0s"}, "--duration", "0s"},
		{{"attach", "eth0", "--poll-interval", "7us"}, "--poll-interval", "'7us'"},
		{{"attach", ""}, "IFACE", "empty"},
		{{"attach", "eth0", "--output", ""}, "--output", "empty"},
		{{"attach", "eth0", "--max-flows", "0"}, "--max-flows", "0"},
		{{"attach", "eth0", "--max-flows", "many"}, "--max-flows", "many"},
		{{"attach", "eth0", "--abort-count", "0"}, "--abort-count", "0"},
		{{"attach", "eth0", "--win-threshold", "65537"}, "--win-threshold", "65537"},
		{{"attach", "eth0", "--mode", "foo"}, "--mode", "foo"},
		{{"attach", "eth0", "--format", "xml"}, "--format", "xml"},
		{{"attach", "eth0", "--quiet", "--verbose"}, "--verbose", "--quiet"},
		{{"attach", "eth0", "--colour"}, "--colour", "--colour"},
		{{"attach"}, "IFACE", "required"},
		{{"replay"}, "FILE", "required"},
		{{"replay", "x", "--engine", "steam"}, "--engine", "steam"},
		{{"detatch"}, "detatch", "detatch"},
		{{"--colour"}, "unknown option", "--colour"},
		{{}, "command", "missing"},
	};
	for (const auto &row : table) {
		auto parsed = parse_words(all_commands(), row.words);
		ASSERT_FALSE(parsed) << row.value;
		EXPECT_EQ(parsed.error().exit, Exit::usage);
		EXPECT_THAT(parsed.error().sentence(),
			    AllOf(HasSubstr(row.option), HasSubstr(row.value), HasSubstr("--help")));
		EXPECT_THAT(parsed.error().sentence(), testing::Not(HasSubstr("\n")));
	}
}

TEST(Options, Replay)
{
	auto parsed = parse_options(define_replay, {"a.pcap", "b.pcap", "--engine", "kernel", "--filter", "tcp port 80",
						    "--packets", "p", "--timeout-est", "4s"});
	ASSERT_TRUE(parsed) << parsed.error().sentence();
	const ReplayOptions &options = *parsed;
	EXPECT_THAT(options.files, ElementsAre("a.pcap", "b.pcap"));
	EXPECT_EQ(options.engine, EngineKind::kernel);
	EXPECT_EQ(options.filter, "tcp port 80");
	EXPECT_EQ(options.output.packets, "p");
	EXPECT_EQ(options.tracking.config.timeout_ns[TCPWIN_TIMEOUT_EST], 4'000'000'000U);
	EXPECT_EQ(parse_options(define_replay, {"-"}).value().engine, EngineKind::portable);
}

TEST(Options, HelpAndVersionAreInformation)
{
	auto help = parse_words(all_commands(), {"attach", "--help"});
	ASSERT_TRUE(help);
	EXPECT_THAT(std::get<Information>(*help).text,
		    AllOf(HasSubstr("Examples:"), HasSubstr("--timeout-est DURATION=1s"), HasSubstr("Exit codes")));
	auto version = parse_words(all_commands(), {"--version"});
	ASSERT_TRUE(version);
	EXPECT_THAT(std::get<Information>(*version).text, testing::MatchesRegex("tcpwin-agent [0-9.]+\n"));
}

TEST(Options, LiveViewsTakeASortKey)
{
	const auto flows =
		parse_options(define_flows, {"eth0", "--sort", "zero-windows", "--limit", "3", "--json"}).value();
	EXPECT_THAT(flows.selection.source.interfaces, ElementsAre("eth0"));
	EXPECT_EQ(flows.selection.sort, SortKey::zero_windows);
	EXPECT_EQ(flows.limit, 3U);
	EXPECT_TRUE(flows.json);
	const auto top = parse_options(define_top, {"--filter", ":443", "--interval", "5s"}).value();
	EXPECT_EQ(top.selection.sort, SortKey::stalled);
	EXPECT_EQ(top.selection.filter, ":443");
	EXPECT_EQ(top.interval, 5s);
}

TEST(Options, ContradictingOnesAreRefused)
{
	for (const std::vector<std::string> &words : std::vector<std::vector<std::string>>{
		     {"any", "eth0"}, {"eth0", "--stats-interval", "1s", "--format", "t2"}}) {
		auto parsed = parse_options(define_attach, words);
		ASSERT_FALSE(parsed) << words.back();
		EXPECT_EQ(parsed.error().exit, Exit::usage);
	}
	EXPECT_TRUE(attach_options({"any"}).session.watch.any());
}

TEST(Options, PersistentAppendsAndPacketsSwitchOnPacketMode)
{
	const AttachOptions with = attach_options({"eth0", "--persistent", "--packets", "p"});
	EXPECT_TRUE(with.output.append);
	EXPECT_TRUE(with.tracking.report_packets);
	const AttachOptions without = attach_options({"eth0"});
	EXPECT_FALSE(without.output.append);
	EXPECT_FALSE(without.tracking.report_packets);
}
