// SPDX-License-Identifier: Apache-2.0
#include "lists.hpp"

#include <cctype>

#include <fmt/format.h>

#include "record/analysis.hpp"
#include "record/names.hpp"
#include "record/report.hpp"

namespace tcpwin {
namespace {

constexpr std::uint32_t largest_window = 65535U << 14;

Schema reference(const char *definition)
{
	return {{"$ref", std::string("#/$defs/") + definition}};
}

// ---- the schema of a C++ type ----

template <typename T> struct SchemaOf;

template <std::integral T> struct SchemaOf<T> {
	static Schema get() { return {{"type", "integer"}, {"minimum", 0}}; }
};

template <> struct SchemaOf<bool> {
	static Schema get() { return {{"type", "boolean"}}; }
};

template <> struct SchemaOf<std::chrono::nanoseconds> {
	static Schema get() { return reference("seconds"); }
};

template <> struct SchemaOf<WallTime> {
	static Schema get() { return reference("nanoseconds"); }
};

template <> struct SchemaOf<WindowBytes> {
	static Schema get() { return {{"type", "integer"}, {"minimum", 0}, {"maximum", largest_window}}; }
};

template <> struct SchemaOf<WindowScale> {
	static Schema get()
	{
		const Schema shift = {{"type", "integer"}, {"minimum", 0}, {"maximum", 14}};
		return {{"anyOf", {shift, {{"enum", {"none", nullptr}}}}}};
	}
};

template <> struct SchemaOf<StallEnd> {
	static Schema get()
	{
		Schema names = Schema::array();
#define X(name, text) names.push_back(text);
		TCPWIN_STALL_ENDS(X)
#undef X
		names.push_back("timeout");
		return {{"enum", names}};
	}
};

template <typename T> struct SchemaOf<std::optional<T>> {
	static Schema get()
	{
		Schema schema = SchemaOf<T>::get();
		if (schema.contains("$ref"))
			return {{"anyOf", {schema, {{"type", "null"}}}}};
		if (schema.contains("enum"))
			schema["enum"].push_back(nullptr);
		else
			schema["type"] = {schema["type"], "null"};
		return schema;
	}
};

// ---- parts that come from the lists ----

Schema described(std::string_view description, const Schema &schema)
{
	Schema field = {{"description", description}};
	field.update(schema);
	return field;
}

std::string sentence(std::string_view clause)
{
	std::string text(clause);
	text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
	return text + ".";
}

// Exactly these members, all required.
void set_properties(Schema &object, const Schema &properties)
{
	object["properties"] = properties;
	object["required"] = Schema::array();
	for (const auto &[name, schema] : properties.items())
		object["required"].push_back(name);
}

void update_analysis(Schema &definitions)
{
	Schema stall, window, limits, tcp;
#define X(type, name, value, description) X_FIELDS[#name] = described(description, SchemaOf<type>::get());
#define X_FIELDS stall
	TCPWIN_STALL_FIELDS(X)
#undef X_FIELDS
#define X_FIELDS window
	TCPWIN_WINDOW_FIELDS(X)
#undef X_FIELDS
#define X_FIELDS limits
	TCPWIN_LIMITS_FIELDS(X)
#undef X_FIELDS
#define X_FIELDS tcp
	TCPWIN_TCP_FIELDS(X)
#undef X_FIELDS
#undef X
	set_properties(definitions["stall"], stall);
	set_properties(definitions["window"], window);
	set_properties(definitions["limits"], limits);
	set_properties(definitions["tcp"], tcp);
}

Schema counters(int minimum)
{
	Schema all;
	for (const CounterName &counter : counter_names)
		all[std::string(counter.name)] =
			described(sentence(counter.explanation), {{"type", "integer"}, {"minimum", minimum}});
	return all;
}

void update_counters(Schema &definitions)
{
	const Schema number = {{"type", "integer"}, {"minimum", 0}};
	Schema totals;
	totals["packets"] = described("Packets seen: the sum of those tracked, not tracked and rejected.", number);
	for (const TotalName &total : total_names)
		totals[std::string(total.name)] = described(sentence(total.explanation), number);
	totals.update(counters(0));
	set_properties(definitions["stats_totals"], totals);
	definitions["status"]["properties"]["counters"]["properties"] = counters(1); // those that are 0 are left out
}

Schema names_of(const auto &items)
{
	Schema names = Schema::array();
	for (const auto &item : items)
		names.push_back(item.name);
	return names;
}

void update_names(Schema &definitions)
{
	Schema &side = definitions["side"]["properties"], &flow = definitions["flow"]["properties"];
	side["tcp_flags"]["items"]["enum"] = names_of(flag_names);
	side["alarms"]["items"]["enum"] = names_of(alarm_names);
	Schema &alarms = definitions["alarm"]["properties"]["alarm"]["enum"];
	alarms = names_of(alarm_names);
	alarms.push_back("syn_flood"); // not of a flow
	flow["hooks"]["items"]["enum"] = names_of(hook_names);
	Schema reasons = Schema::array(), states = Schema::array(), codes = Schema::array();
	for (int reason = 0; reason < TCPWIN_END_COUNT; reason++)
		reasons.push_back(name_of(static_cast<tcpwin_end_reason>(reason)));
#define X(name, code)            \
	states.push_back(#name); \
	codes.push_back(code);
	TCPWIN_STATES(X)
#undef X
	flow["end_reason"]["enum"] = reasons;
	definitions["state"]["enum"] = states;
	definitions["state_code"]["enum"] = codes;
}

// ---- text ----

constexpr std::size_t widest_line = 120;

std::string one_line(const Schema &value)
{
	std::string text, separator;
	if (value.is_object()) {
		for (const auto &[name, member] : value.items()) {
			text += separator + Schema(name).dump() + ": " + one_line(member);
			separator = ", ";
		}
		return "{" + text + "}";
	}
	if (!value.is_array())
		return value.dump();
	for (const Schema &item : value) {
		text += separator + one_line(item);
		separator = ", ";
	}
	return "[" + text + "]";
}

std::string indented(const Schema &value, const std::string &indent, std::size_t column)
{
	const std::string short_text = one_line(value), inner = indent + "  ";
	if (!value.is_structured() || value.empty() || column + short_text.size() < widest_line)
		return short_text;
	std::string text, separator;
	for (const auto &[name, member] : value.items()) {
		const std::string key = value.is_object() ? Schema(name).dump() + ": " : "";
		text += separator + "\n" + inner + key + indented(member, inner, inner.size() + key.size());
		separator = ",";
	}
	return (value.is_object() ? "{" : "[") + text + "\n" + indent + (value.is_object() ? "}" : "]");
}

// ---- the page ----

void add_type(std::vector<std::string> &types, const std::string &type)
{
	if (std::ranges::find(types, type) == types.end())
		types.push_back(type);
}

std::string json_type(const Schema &value)
{
	return value.is_number() ? "number" : value.type_name();
}

void collect_types(const Schema &field, const Schema &schema, std::vector<std::string> &types)
{
	if (field.contains("$ref"))
		return collect_types(schema.at(Schema::json_pointer(field["$ref"].get<std::string>().substr(1))),
				     schema, types);
	if (field.contains("type")) {
		const Schema &type = field["type"];
		for (const Schema &one : type.is_array() ? type : Schema::array({type}))
			add_type(types, one);
	} else if (field.contains("const")) {
		add_type(types, json_type(field["const"]));
	} else if (field.contains("enum")) {
		for (const Schema &value : field["enum"])
			add_type(types, json_type(value));
	} else if (field.contains("anyOf")) {
		for (const Schema &one : field["anyOf"])
			collect_types(one, schema, types);
	}
}

std::string table(const Schema &object, const Schema &schema)
{
	std::string text = "| field | type | meaning |\n| --- | --- | --- |\n";
	for (const auto &[name, field] : object["properties"].items()) {
		std::vector<std::string> types;
		collect_types(field, schema, types);
		text += fmt::format("| `{}` | {} | {} |\n", name, fmt::join(types, " or "),
				    field["description"].get<std::string>());
	}
	return text;
}

const Schema &find_object(const Schema &schema, const std::string &name)
{
	const auto dot = name.find('.');
	const Schema &definition = schema.at("$defs").at(name.substr(0, dot));
	return dot == std::string::npos ? definition : definition.at("properties").at(name.substr(dot + 1));
}

} // namespace

Schema update_schema(Schema schema)
{
	Schema &definitions = schema["$defs"];
	update_analysis(definitions);
	update_counters(definitions);
	update_names(definitions);
	return schema;
}

std::string format_schema(const Schema &schema)
{
	return indented(schema, "", 0) + "\n";
}

std::string update_page(const std::string &page, const Schema &schema)
{
	const std::string begin = "<!-- fields: ", end = "<!-- end -->";
	std::string text;
	std::size_t done = 0;
	for (std::size_t at; (at = page.find(begin, done)) != std::string::npos;) {
		const std::size_t name = at + begin.size(), line_end = page.find('\n', at) + 1;
		const std::string object = page.substr(name, page.find(' ', name) - name);
		text += page.substr(done, line_end - done) + table(find_object(schema, object), schema);
		done = page.find(end, line_end);
	}
	return text + page.substr(done);
}

} // namespace tcpwin
