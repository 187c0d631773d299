// SPDX-License-Identifier: Apache-2.0
#include "explain/record_parser.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/printable.hpp"

namespace tcpwin {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;
using std::chrono::nanoseconds;

constexpr double longest_seconds = 9.2e9; // of 64 bits of nanoseconds

// The members of an object. A member that is missing or of another type is read as T{}; the first one is reported.
class Members {
public:
	Members(object members, std::string &problem) : members_(members), problem_(problem) {}

	template <typename T> T get(const char *name) const
	{
		T value{};
		if (members_[name].get(value) != simdjson::SUCCESS && problem_.empty())
			problem_ = fmt::format("field {} is missing or wrong", name);
		return value;
	}
	// Nothing if the member is missing or null, or of another type, which is reported. (An object or array of simdjson
	// that was not read must not be used.)
	template <typename T> std::optional<T> find(const char *name) const
	{
		element member;
		T value;
		if (members_[name].get(member) != simdjson::SUCCESS || member.is_null())
			return std::nullopt;
		if (member.get(value) == simdjson::SUCCESS)
			return value;
		if (problem_.empty())
			problem_ = fmt::format("field {} is missing or wrong", name);
		return std::nullopt;
	}
	std::optional<Members> find_object(const char *name) const
	{
		const auto found = find<object>(name);
		return found ? std::optional(Members(*found, problem_)) : std::nullopt;
	}
	Members inner(object members) const { return Members(members, problem_); }
	// Without control characters.
	std::string text(const char *name) const { return printable(std::string(get<std::string_view>(name))); }
	std::string find_text(const char *name) const
	{
		return printable(std::string(find<std::string_view>(name).value_or("")));
	}
	std::uint64_t find_count(const char *name) const { return find<std::uint64_t>(name).value_or(0); }
	nanoseconds seconds(const char *name) const
	{
		const double value = get<double>(name);
		const bool fits = value >= 0 && value < longest_seconds;
		if (!fits && problem_.empty())
			problem_ = fmt::format("field {} is wrong", name);
		return fits ? nanoseconds(std::llround(value * 1e9)) : nanoseconds(0);
	}
	WallTime time(const char *name) const
	{
		const auto value = get<std::int64_t>(name);
		if (value < 0 && problem_.empty())
			problem_ = fmt::format("field {} is wrong", name);
		return WallTime(nanoseconds(std::max<std::int64_t>(value, 0)));
	}
	std::uint16_t port(const char *name) const
	{
		const auto value = get<std::uint64_t>(name);
		if (value > UINT16_MAX && problem_.empty())
			problem_ = fmt::format("field {} is wrong", name);
		return static_cast<std::uint16_t>(value);
	}
	std::optional<WallTime> find_time(const char *name) const
	{
		return find<std::int64_t>(name) ? std::optional(time(name)) : std::nullopt;
	}

private:
	object members_;
	std::string &problem_;
};

ParsedStall read_stall(const Members &stall)
{
	return {.episodes = stall.get<std::uint64_t>(StallNames::episodes),
		.total = stall.seconds(StallNames::total),
		.longest = stall.seconds(StallNames::longest),
		.open = stall.get<bool>(StallNames::open),
		.last_ended = stall.find_text(StallNames::last_ended),
		.probes = stall.find<std::uint64_t>(StallNames::probes),
		.answers = stall.find<std::uint64_t>(StallNames::probe_answers),
		.last_began = stall.find_time(StallNames::last_began_ns)};
}

ParsedLimits read_limits(const Members &limits)
{
	return {.receiver = limits.seconds(LimitsNames::receiver),
		.network = limits.seconds(LimitsNames::network),
		.application = limits.seconds(LimitsNames::application)};
}

void read_flags(const array &flags, ParsedSide &side)
{
	for (const element flag : flags) {
		std::string_view name;
		if (flag.get(name) != simdjson::SUCCESS)
			continue;
		side.fin = side.fin || name == "FIN";
		side.rst = side.rst || name == "RST";
	}
}

void read_vlans(const array &vlans, ParsedFlow &flow)
{
	for (const element vlan : vlans)
		if (std::uint64_t id; vlan.get(id) == simdjson::SUCCESS)
			flow.vlans.insert(id);
}

// "812", or "812 and 2 others".
std::string pids_text(const array &pids)
{
	std::uint64_t first = 0;
	if (pids.size() == 0 || pids.at(0).get(first) != simdjson::SUCCESS)
		return "?";
	const std::size_t others = pids.size() - 1;
	return others ? fmt::format("{} and {} other{}", first, others, others == 1 ? "" : "s") :
			fmt::format("{}", first);
}

std::shared_ptr<const ParsedLocal> read_local(const Members &local)
{
	std::vector<std::string> facts;
	if (const auto pids = local.find<array>("pids"))
		facts.push_back("pid " + pids_text(*pids));
	facts.push_back(fmt::format("uid {}", local.get<std::uint64_t>("uid")));
	if (const std::string unit = local.find_text("unit"); !unit.empty())
		facts.push_back(unit);
	if (const std::string container = local.find_text("container"); !container.empty())
		facts.push_back("container " + container.substr(0, short_container_id));
	if (const std::string pod = local.find_text("pod"); !pod.empty())
		facts.push_back("pod " + pod);
	ParsedLocal parsed;
	const std::string command = local.find_text("command");
	parsed.name = fmt::format("{} ({})", command.empty() ? "a program" : command, fmt::join(facts, ", "));
	if (const auto socket = local.find_object("socket"))
		parsed.unread = socket->find_count("receive_queue");
	return std::make_shared<const ParsedLocal>(std::move(parsed));
}

ParsedSide read_side(const Members &members)
{
	ParsedSide side;
	side.ip = members.text("ip");
	side.port = members.port("port");
	side.packets = members.get<std::uint64_t>("packets");
	side.zero_windows = members.get<std::uint64_t>("zero_window_count");
	side.timeout = members.seconds("timeout");
	if (const auto flags = members.find<array>("tcp_flags"))
		read_flags(*flags, side);
	if (const auto stall = members.find_object("stall"))
		side.stall = read_stall(*stall);
	if (const auto window = members.find_object("window"))
		side.window_max = window->find_count(WindowNames::max);
	// Records of earlier versions lack local, limits, and these two counts.
	if (const auto local = members.find_object("local"))
		side.local = read_local(*local);
	if (const auto limits = members.find_object("limits"))
		side.limits = read_limits(*limits);
	if (const auto tcp = members.find_object("tcp")) {
		side.ignored = tcp->find_count("ignored_segments");
		side.duplicates = tcp->find_count("duplicates");
	}
	return side;
}

ParsedFlow read_flow(const Members &members, std::string &problem)
{
	ParsedFlow flow;
	flow.id = members.get<std::uint64_t>("flow_id");
	flow.continues = members.find<std::uint64_t>("continues").value_or(0);
	flow.interface = members.find_text("in_iface");
	flow.vlan = members.find<std::uint64_t>("vlan").value_or(0);
	if (flow.vlan)
		flow.vlans.insert(flow.vlan);
	// Records of earlier versions lack this.
	if (const auto vlans = members.find<array>("vlans"))
		read_vlans(*vlans, flow);
	flow.end_reason = members.text("end_reason");
	flow.interim = members.find<bool>("interim").value_or(false);
	flow.first = members.time("start_ns");
	flow.last = members.time("end_ns");
	if (const auto a = members.find_object("a"))
		flow.a = read_side(*a);
	else if (problem.empty())
		problem = "field a is missing or wrong";
	if (const auto b = members.find_object("b"))
		flow.b = read_side(*b);
	return flow;
}

ParsedFlood::Receiver read_receiver(const Members &members)
{
	return {.ip = members.text("ip"),
		.port = members.port("port"),
		.flows = members.find_count("flows"),
		.rate = 0};
}

ParsedFlood read_flood(const Members &members, std::string_view event)
{
	ParsedFlood flood;
	if (event == "alarm" && members.find_text("alarm") == "syn_flood") {
		if (const auto receiver = members.find_object("receiver"))
			flood.receivers.push_back(read_receiver(*receiver));
		for (auto &receiver : flood.receivers)
			receiver.rate = members.get<std::uint64_t>("rate");
	}
	if (event != "unanswered")
		return flood;
	flood.flows = members.find_count("flows");
	flood.unrecorded_flows = members.find_count("unrecorded_flows");
	if (const auto receivers = members.find<array>("receivers"))
		for (const element each : *receivers)
			if (object receiver; each.get(receiver) == simdjson::SUCCESS)
				flood.receivers.push_back(read_receiver(members.inner(receiver)));
	return flood;
}

} // namespace

struct RecordParser::State {
	simdjson::dom::parser parser;
};

RecordParser::RecordParser() : state_(std::make_unique<State>()) {}
RecordParser::~RecordParser() = default;

Result<std::optional<ParsedFlow>, std::string> RecordParser::parse(std::string_view line)
{
	object found;
	element whole;
	if (const auto error = state_->parser.parse(line.data(), line.size()).get(whole))
		return tl::unexpected(fmt::format("it is not JSON ({})", simdjson::error_message(error)));
	if (whole.get(found) != simdjson::SUCCESS)
		return tl::unexpected(std::string("it is not a JSON object"));

	std::string problem;
	const Members members(found, problem);
	const auto schema = members.find<std::uint64_t>("schema");
	const auto event = members.find<std::string_view>("event");
	if (!problem.empty() || !schema || !event)
		return tl::unexpected(std::string("it is not a line of tcpwin-agent: schema or event is missing"));
	if (*schema != 1)
		return tl::unexpected(fmt::format("it has schema {}; this tcpwin-agent knows schema 1", *schema));
	if (*event != "flow") {
		other_event_ = printable(std::string(*event));
		flood_ = read_flood(members, *event);
		if (!problem.empty())
			return tl::unexpected(problem);
		return std::nullopt;
	}
	ParsedFlow flow = read_flow(members, problem);
	if (!problem.empty())
		return tl::unexpected(problem);
	return flow;
}

} // namespace tcpwin
