// SPDX-License-Identifier: Apache-2.0
// The table of settings, and files of them.
#include <cstring>

#include <gmock/gmock.h>

#include "cli/attach.hpp"
#include "cli/commands.hpp"
#include "cli/replay.hpp"
#include "cli/set.hpp"
#include "config/file.hpp"
#include "config/settings.hpp"
#include "unit/cli/parsed.hpp"

using namespace tcpwin;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace {

constexpr tcpwin_config tutorial = TCPWIN_TUTORIAL_CONFIG;
constexpr tcpwin_config monitor = TCPWIN_MONITOR_CONFIG;
constexpr std::uint64_t second = 1'000'000'000;

bool equal(const tcpwin_config &left, const tcpwin_config &right)
{
	return std::memcmp(&left, &right, sizeof(left)) == 0;
}

SettingValues values_of(const tcpwin_config &config)
{
	SettingValues values;
	for (const Setting &setting : all_settings())
		values.emplace(setting.key, setting.get(config));
	return values;
}

std::string error_of(std::string_view key, std::string_view value)
{
	auto checked = check_setting(key, value);
	return checked ? "" : checked.error();
}

SettingValues parse(std::string_view text)
{
	auto values = parse_config_file(text, "agent.toml");
	EXPECT_TRUE(values) << values.error().sentence();
	return values ? *values : SettingValues{};
}

Result<tcpwin_config> config_of_attach(const std::vector<std::string> &words)
{
	return TRY(parse_options(define_attach, words)).tracking.config;
}

Result<tcpwin_config> config_of_replay(const std::vector<std::string> &words)
{
	return TRY(parse_options(define_replay, words)).tracking.config;
}

} // namespace

TEST(Settings, EachExampleIsValid)
{
	for (const Setting &setting : all_settings())
		EXPECT_EQ(error_of(setting.key, setting.example), "") << setting.key;
}

// set() reads what get() writes; together they cover every field.
TEST(Settings, EachProfileCanBeSetFromTheOther)
{
	EXPECT_TRUE(equal(apply_settings(values_of(monitor), tutorial), monitor));
	EXPECT_TRUE(equal(apply_settings(values_of(tutorial), monitor), tutorial));
	EXPECT_TRUE(equal(apply_settings({{"profile", "monitor"}}), monitor));
	EXPECT_TRUE(equal(apply_settings({{"profile", "tutorial"}}, monitor), tutorial));
	EXPECT_TRUE(equal(apply_settings({}, monitor), monitor));
}

TEST(Settings, EachChangesItsField)
{
	const tcpwin_config config = apply_settings({{"win-threshold", "65536"},
						     {"abort-count", "4294967295"},
						     {"on-threshold", "terminate"},
						     {"abort-alarm", "yes"},
						     {"timeout-new", "1s"},
						     {"timeout-bgn", "2s"},
						     {"timeout-est", "3s"},
						     {"timeout-abrt", "4ns"},
						     {"timeout-fin", "5s"},
						     {"timeout-stalled", "1min 6s"},
						     {"active-timeout", "1min7s"},
						     {"promote-established", "yes"},
						     {"split-connections", "yes"},
						     {"count-syn-rst", "no"},
						     {"vlan-tracking", "no"},
						     {"stall-alarm", "8ms"},
						     {"limited-alarm", "9ms"},
						     {"source-alarm", "9"},
						     {"pressure", "75%"},
						     {"timeout-unanswered", "2s"},
						     {"unanswered-records", "summary"},
						     {"syn-flood-alarm", "10"},
						     {"reattach", "no"},
						     {"max-clock-jump", "2h"}});
	EXPECT_EQ(config.window_threshold, 65'536U);
	EXPECT_EQ(config.abort_count, 4'294'967'295U);
	EXPECT_EQ(config.on_threshold, TCPWIN_ON_THRESHOLD_TERMINATE);
	EXPECT_THAT(config.timeout_ns,
		    testing::ElementsAre(second, 2 * second, 3 * second, 4U, 5 * second, 0U, 0U, 0U));
	EXPECT_EQ(config.stalled_ns, 66 * second);
	EXPECT_EQ(config.active_s, 67U);
	EXPECT_EQ(config.stall_alarm_ns, 8'000'000U);
	EXPECT_EQ(config.limited_alarm_ns, 9'000'000U);
	EXPECT_EQ(config.source_alarm, 9U);
	EXPECT_EQ(config.pressure, 75);
	EXPECT_EQ(config.unanswered_ns, 2 * second);
	EXPECT_EQ(config.syn_flood_alarm, 10U);
	EXPECT_EQ(config.max_clock_jump_ns, 7200 * second);
	EXPECT_EQ(config.rules, TCPWIN_RULE_FIN_TIMEOUT | TCPWIN_RULE_PROMOTE_ESTABLISHED |
					TCPWIN_RULE_SKIP_SYN_RST_WINDOWS | TCPWIN_RULE_ABORT_ALARM |
					TCPWIN_RULE_IGNORE_VLAN | TCPWIN_RULE_SPLIT_CONNECTIONS |
					TCPWIN_RULE_STAY_DETACHED | TCPWIN_RULE_SUMMARIZE_UNANSWERED);
	const tcpwin_config off = apply_settings({{"timeout-fin", "none"},
						  {"timeout-stalled", "none"},
						  {"active-timeout", "none"},
						  {"promote-established", "no"},
						  {"split-connections", "no"},
						  {"count-syn-rst", "yes"},
						  {"vlan-tracking", "yes"},
						  {"stall-alarm", "none"},
						  {"limited-alarm", "none"},
						  {"source-alarm", "none"},
						  {"unanswered-records", "each"},
						  {"syn-flood-alarm", "none"},
						  {"reattach", "yes"},
						  {"max-clock-jump", "none"},
						  {"abort-alarm", "no"}},
						 config);
	EXPECT_EQ(off.rules, 0);
	EXPECT_EQ(off.stalled_ns + off.active_s + off.stall_alarm_ns + off.limited_alarm_ns + off.source_alarm +
			  off.max_clock_jump_ns,
		  0U);
	EXPECT_EQ(off.timeout_ns[TCPWIN_TIMEOUT_EST], 3 * second) << "what was not named stays";
}

TEST(Settings, ErrorsNameTheValidValues)
{
	const struct {
		const char *key;
		const char *value;
		const char *why;
	} table[] = {
		{"win-threshold", "65537", "from 0 to 65536"},
		{"win-threshold", "-1", "from 0 to 65536"},
		{"win-threshold", "1x", "a number"},
		{"win-threshold", "", "a number"},
		{"win-threshold", "none", "a number"},
		{"abort-count", "0", "from 1"},
		{"pressure", "0%", "from 1% to 100%"},
		{"pressure", "101", "from 1% to 100%"},
		{"pressure", "none", "from 1% to 100%"},
		{"unanswered-records", "yes", "each or summary"},
		{"timeout-unanswered", "1", "unit"},
		{"abort-count", "4294967296", "to 4294967295"},
		{"abort-count", "99999999999999999999", "to 4294967295"},
		{"on-threshold", "ABORT", "abort, terminate or count"},
		{"abort-alarm", "true", "yes or no"},
		{"timeout-est", "none", "number is missing"},
		{"timeout-est", "5", "the unit is missing"},
		{"timeout-fin", "0s", "above 0"},
		{"timeout-fin", "never", "number is missing"},
		{"active-timeout", "1500ms", "whole seconds"},
		{"active-timeout", "200000weeks", "100 years"},
		{"source-alarm", "0", "from 1 to 4294967295, or none"},
		{"profile", "Monitor", "tutorial or monitor"},
		{"timeout-terminated", "1s", "no such setting"},
	};
	for (const auto &row : table)
		EXPECT_THAT(error_of(row.key, row.value), HasSubstr(row.why)) << row.key << "=" << row.value;
}

TEST(Settings, AMistypedKeyGetsASuggestion)
{
	EXPECT_EQ(closest_key("timeout-es"), "timeout-est");
	EXPECT_EQ(closest_key("timeout_est"), "timeout-est");
	EXPECT_EQ(closest_key("profil"), "profile");
	EXPECT_EQ(closest_key("colour"), "");
	EXPECT_EQ(closest_key(""), "");
}

TEST(Settings, EachIsAnOptionOfAttachAndReplay)
{
	for (auto config_of : {config_of_attach, config_of_replay})
		for (const Setting &setting : all_settings()) {
			auto config = config_of({"x", "--" + std::string(setting.key), std::string(setting.example)});
			ASSERT_TRUE(config) << config.error().sentence();
			const SettingValues given{{std::string(setting.key), std::string(setting.example)}};
			EXPECT_TRUE(equal(*config, apply_settings(given))) << setting.key;
		}
}

TEST(Settings, TheProfileHasTheLowestPrecedence)
{
	for (const std::vector<std::string> &words :
	     std::vector<std::vector<std::string>>{{"x", "--profile", "monitor", "--timeout-est", "7s"},
						   {"x", "--timeout-est", "7s", "--profile", "monitor"}}) {
		auto config = config_of_attach(words);
		ASSERT_TRUE(config) << config.error().sentence();
		EXPECT_EQ(config->timeout_ns[TCPWIN_TIMEOUT_EST], 7 * second);
		EXPECT_EQ(config->timeout_ns[TCPWIN_TIMEOUT_NEW], 60 * second);
	}
	const SettingValues merged =
		merge_settings({{"profile", "monitor"}, {"abort-count", "5"}, {"win-threshold", "7"}},
			       {{"profile", "tutorial"}, {"abort-count", "6"}});
	EXPECT_THAT(merged, UnorderedElementsAre(Pair("profile", "tutorial"), Pair("abort-count", "6"),
						 Pair("win-threshold", "7")));
}

TEST(Settings, AssignmentsOfSet)
{
	auto parsed = parse_options(define_set,
				    {"--iface", "eth0", "timeout-est=5min", "--iface", "eth1", "timeout-fin=none"});
	ASSERT_TRUE(parsed) << parsed.error().sentence();
	const SetOptions &options = *parsed;
	EXPECT_THAT(options.interfaces, testing::ElementsAre("eth0", "eth1"));
	EXPECT_THAT(options.settings, UnorderedElementsAre(Pair("timeout-est", "5min"), Pair("timeout-fin", "none")));
	EXPECT_TRUE(parse_options(define_set, {}).value().settings.empty());
	for (const auto &[word, why] :
	     {std::pair("timeout-est", "KEY=VALUE"), std::pair("timeout-es=1s", "perhaps you mean timeout-est"),
	      std::pair("timeout-est=1", "unit"), std::pair("=1", "no such setting"), std::pair("", "KEY=VALUE")}) {
		auto wrong = parse_options(define_set, {word});
		ASSERT_FALSE(wrong) << word;
		EXPECT_EQ(wrong.error().exit, Exit::usage);
		EXPECT_THAT(wrong.error().sentence(), HasSubstr(why)) << word;
	}
}

TEST(ConfigFile, TypesOfToml)
{
	EXPECT_THAT(parse("# none\n"), UnorderedElementsAre());
	EXPECT_THAT(
		parse("profile = \"monitor\"\nabort-count = 7 # seven\nwin-threshold = '8'\ntimeout-est = \"5min\"\n"
		      "promote-established = true\ncount-syn-rst = false\nabort-alarm = \"yes\"\nsource-alarm = 0x10\n"),
		UnorderedElementsAre(Pair("profile", "monitor"), Pair("abort-count", "7"), Pair("win-threshold", "8"),
				     Pair("timeout-est", "5min"), Pair("promote-established", "yes"),
				     Pair("count-syn-rst", "no"), Pair("abort-alarm", "yes"),
				     Pair("source-alarm", "16")));
}

TEST(ConfigFile, ErrorsNameTheLine)
{
	const struct {
		const char *text;
		const char *line;
		const char *why;
		const char *advice;
	} table[] = {
		{"\n\ntimeout-es = \"1s\"\n", "line 3:", "no setting 'timeout-es'", "perhaps you mean timeout-est"},
		{"[timeouts]\nest = \"1s\"\n", "line 1:", "no setting 'timeouts'", "lists the settings"},
		{"timeout-est = 300\n", "line 1:", "the unit is missing", "timeout-est = \"300s\""},
		{"timeout-est = 1.5\n", "line 1:", "must be a string, a whole number, true or false",
		 "timeout-est = \"300s\""},
		{"\nabort-count = [1]\n", "line 2:", "must be a string", "abort-count = 2"},
		{"abort-count = true\n", "line 1:", "a number from 1", "abort-count = 2"},
		{"profile = \"none\"\n", "line 1:", "tutorial or monitor", "profile = \"monitor\""},
		{"abort-count = 1\nabort-count = 2\n", "line 2:", "not TOML", "timeout-est = \"300s\""},
		{"abort-count = \n", "line 1:", "not TOML", "write "},
		{"\x7f"
		 "ELF\x01",
		 "line 1:", "not TOML", "write "},
		{"on-threshold = \"a\\nb\"\n", "line 1:", "'a?b'", "write "},
	};
	for (const auto &row : table) {
		auto parsed = parse_config_file(row.text, "agent.toml");
		ASSERT_FALSE(parsed) << row.text;
		EXPECT_EQ(parsed.error().exit, Exit::configuration);
		EXPECT_THAT(parsed.error().sentence(),
			    AllOf(HasSubstr("agent.toml"), HasSubstr(row.line), HasSubstr(row.why),
				  HasSubstr(row.advice), Not(HasSubstr("\n"))));
	}
}

TEST(ConfigFile, AnUnreadableFileIsAnInvalidConfiguration)
{
	for (const auto &[path, why] : {std::pair("/nonexistent/agent.toml", "No such file"),
					std::pair("/", "directory"), std::pair("/dev/zero", "larger than 64 KiB")}) {
		auto parsed = parse_options(define_replay, {"x", "--config", path});
		ASSERT_FALSE(parsed) << path;
		EXPECT_EQ(parsed.error().exit, Exit::configuration);
		EXPECT_THAT(parsed.error().sentence(), AllOf(HasSubstr(path), HasSubstr(why)));
	}
}
