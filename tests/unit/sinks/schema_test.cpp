// SPDX-License-Identifier: Apache-2.0
// The published schema and docs/records.md match the code. tests/net/lines.py checks that each line follows the schema.
#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "schema/lists.hpp"
#include "record/names.hpp"
#include "sinks/json.hpp"

using namespace tcpwin;
using nlohmann::json;

namespace {

std::string read_file(const char *path)
{
	std::ifstream file(path);
	return {std::istreambuf_iterator<char>(file), {}};
}

Schema schema()
{
	return Schema::parse(read_file(TCPWIN_SCHEMA));
}

using Names = std::set<std::string>;

// The definition of a field of an event or other object.
json field(const char *definition, const char *name)
{
	std::ifstream file(TCPWIN_SCHEMA);
	return nlohmann::json::parse(file)["$defs"][definition]["properties"][name];
}

json definition(const char *name)
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

// An example line, as an event.
template <typename Write> json line_of(const Write &write)
{
	fmt::memory_buffer out;
	write(out);
	return json::parse(std::string(out.data(), out.size()));
}

FlowRecord example_flow()
{
	tcpwin_record record{};
	record.flow.analyzed = 1;
	for (tcpwin_direction &direction : record.flow.direction)
		direction.packets = 1;
	const auto local = std::make_shared<const LocalProgram>(LocalProgram{.socket = SocketState{}});
	return make_flow_record(record, TCPWIN_DEFAULT_CONFIG, std::chrono::nanoseconds(0), "eth0", {local, local});
}

PacketRecord example_packet()
{
	PacketRecord packet{};
	packet.dir = 'A';
	return packet;
}

json example_alarm(tcpwin_alarm_kind kind)
{
	AlarmRecord alarm{};
	alarm.kind = kind;
	return line_of([&](auto &out) { make_flow_format(Format::json)->alarm(alarm, out); });
}

Status example_status()
{
	Status status{};
	status.counters.emplace();
	for (auto &counter : status.counters->value)
		counter = 1;
	return status;
}

json example(const std::string &event)
{
	if (event == "flow")
		return line_of([](auto &out) { make_flow_format(Format::json)->flow(example_flow(), out); });
	if (event == "live_flow")
		return line_of([](auto &out) { put_live_flow(example_flow(), {}, 0, out); });
	if (event == "packet")
		return line_of([](auto &out) { make_packet_format(Format::json)->packet(example_packet(), out); });
	if (event == "stats")
		return line_of([](auto &out) { put_stats({}, out); });
	if (event == "status")
		return line_of([](auto &out) { put_status(example_status(), out); });
	if (event == "summary")
		return line_of([](auto &out) { put_summary({.profile = "tutorial"}, out); });
	if (event == "unanswered")
		return line_of([](auto &out) { make_flow_format(Format::json)->unanswered({}, out); });
	json alarm = example_alarm(TCPWIN_ALARM_ABORT_COUNT);
	alarm.update(line_of([](auto &out) { make_flow_format(Format::json)->syn_flood({}, out); }));
	alarm.update(example_alarm(TCPWIN_ALARM_STALL));
	alarm.update(example_alarm(TCPWIN_ALARM_STALLED_FLOWS));
	alarm.update(example_alarm(TCPWIN_ALARM_LIMITED));
	return alarm;
}

std::set<std::string> names_in(const auto &object)
{
	std::set<std::string> names;
	for (const auto &[name, value] : object.items())
		names.insert(name);
	return names;
}

// The properties of a field that may be an object.
Schema properties_of(const Schema &field, const Schema &whole)
{
	if (field.contains("$ref"))
		return properties_of(whole.at(Schema::json_pointer(field["$ref"].get<std::string>().substr(1))), whole);
	if (field.contains("anyOf"))
		return properties_of(field["anyOf"][0], whole);
	return field.value("properties", Schema::object());
}

void expect_same_names(const std::string &way, const json &object, const Schema &properties, const Schema &whole)
{
	EXPECT_EQ(names_in(object), names_in(properties)) << way;
	for (const auto &[name, value] : object.items())
		if (value.is_object() && properties.contains(name))
			expect_same_names(way + "." + name, value, properties_of(properties[name], whole), whole);
}

} // namespace

TEST(Schema, MatchesTheListsInTheCode)
{
	const Schema now = schema(), updated = update_schema(now);
	EXPECT_EQ(json::diff(json(now), json(updated)), json::array()) << "'make schema' makes these changes";
	EXPECT_EQ(read_file(TCPWIN_SCHEMA), format_schema(updated)) << "'make schema' formats it";
}

TEST(Schema, HasTheFieldsOfEachEventAndNoOthers)
{
	const Schema whole = schema();
	for (const Schema &event : whole["properties"]["event"]["enum"])
		expect_same_names(event, example(event), whole["$defs"][event.get<std::string>()]["properties"], whole);
}

TEST(RecordsPage, HasEveryFieldOfTheSchema)
{
	const std::string page = read_file(TCPWIN_RECORDS_PAGE);
	const Schema whole = schema();
	for (const auto &[name, definition] : whole["$defs"].items())
		if (definition.contains("properties")) {
			EXPECT_THAT(page, testing::HasSubstr("<!-- fields: " + name + " -->\n"))
				<< "no table of " << name;
		}
	std::istringstream now(page), updated(update_page(page, whole));
	for (std::string line, expected; std::getline(updated, expected);) {
		std::getline(now, line);
		ASSERT_EQ(line, expected) << "'make schema' writes this line";
	}
}

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
	const json totals = definition("stats_totals")["properties"];
	for (const auto &[name, total] : totals.items())
		in_stats.insert(name);
	EXPECT_THAT(in_stats, testing::IsSupersetOf(names));
	Names described;
	const json counters = field("status", "counters")["properties"];
	for (const auto &[name, counter] : counters.items())
		described.insert(name);
	EXPECT_EQ(described, names);
}
