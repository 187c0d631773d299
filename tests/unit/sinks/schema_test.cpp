// SPDX-License-Identifier: Apache-2.0
// The published schema has the names that the code has. That records follow it: tests/net/lines.py.
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "record/names.hpp"

using namespace tcpwin;

namespace {

using Names = std::set<std::string>;

// The definition of a field of an event or other object.
nlohmann::json field(const char *definition, const char *name)
{
	std::ifstream file(TCPWIN_SCHEMA);
	return nlohmann::json::parse(file)["$defs"][definition]["properties"][name];
}

nlohmann::json definition(const char *name)
{
	std::ifstream file(TCPWIN_SCHEMA);
	return nlohmann::json::parse(file)["$defs"][name];
}

template <typename Items> Names names_of(const Items &items)
{
	Names names;
	for (const auto &item : items)
		names.emplace(item.name);
	return names;
}

} // namespace

TEST(Schema, HasEveryNameOfABit)
{
	EXPECT_EQ(field("side", "tcp_flags")["items"]["enum"].get<Names>(), names_of(flag_names));
	EXPECT_EQ(field("flow", "hooks")["items"]["enum"].get<Names>(), names_of(hook_names));
}

TEST(Schema, HasEveryStateWithItsCode)
{
	Names names;
	std::set<int> codes;
#define X(name, code)        \
	names.insert(#name); \
	codes.insert(code);
	TCPWIN_STATES(X)
#undef X
	EXPECT_EQ(definition("state")["enum"].get<Names>(), names);
	EXPECT_EQ(definition("state_code")["enum"].get<std::set<int>>(), codes);
}

TEST(Schema, HasEveryReasonOfAnEnd)
{
	Names names;
	for (int reason = 0; reason < TCPWIN_END_COUNT; reason++)
		names.emplace(name_of(static_cast<tcpwin_end_reason>(reason)));
	EXPECT_EQ(field("flow", "end_reason")["enum"].get<Names>(), names);
}

TEST(Schema, HasEveryCounter)
{
	Names names = names_of(verdict_names);
	names.merge(names_of(event_names));
	names.merge(names_of(reject_names));
	Names in_stats;
	const nlohmann::json totals = definition("stats_totals")["properties"];
	for (const auto &[name, total] : totals.items())
		in_stats.insert(name);
	EXPECT_THAT(in_stats, testing::IsSupersetOf(names));
	Names described;
	const nlohmann::json counters = field("status", "counters")["properties"];
	for (const auto &[name, counter] : counters.items())
		described.insert(name);
	EXPECT_EQ(described, names);
}
