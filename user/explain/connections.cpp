// SPDX-License-Identifier: Apache-2.0
#include "explain/connections.hpp"

#include <algorithm>
#include <tuple>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

bool is_same(const SideStory &story, const ParsedSide &side)
{
	return story.ip == side.ip && story.port == side.port;
}

// A window that was closed at the end of a record is taken as closed until the endpoint announces another one: during
// the time to the next record, and during all of that record if the endpoint is silent in it.
void stay_closed(SideStory &story, nanoseconds time)
{
	story.stall.total += time;
	story.open_for += time;
	story.stall.longest = std::max(story.stall.longest, story.open_for);
}

// Length of the open episode of a record that ends at last.
nanoseconds open_at(WallTime last, const ParsedStall &stall)
{
	return stall.open && stall.last_began ? std::max(last - *stall.last_began, nanoseconds(0)) : nanoseconds(0);
}

// If the previous record ended with an open episode, the first episode of this record is the rest of it. A record with
// several episodes does not say how long the first one was.
void add_record(SideStory &story, const ParsedStall &stall, WallTime last)
{
	const bool continues = story.stall.open, is_one = stall.episodes == 1;
	const nanoseconds before = continues ? story.open_for : nanoseconds(0);

	if (continues && stall.episodes > 1)
		story.longest_is_least = true;
	story.open_for = is_one ? before + stall.total : open_at(last, stall);
	story.stall.episodes += stall.episodes - (continues && stall.episodes ? 1 : 0);
	story.stall.total += stall.total;
	story.stall.longest = std::max({story.stall.longest, stall.longest, story.open_for});
	if (stall.episodes)
		story.stall.last_ended = stall.last_ended;
	else if (continues)
		story.stall.last_ended = story.rst ? "reset" : story.fin ? "fin" : "resumed";
	if (stall.episodes && !(continues && is_one))
		story.stall.last_began = stall.last_began;
	story.stall.open = stall.open;
}

void add_optional(std::optional<std::uint64_t> &sum, const std::optional<std::uint64_t> &value, bool is_first)
{
	if (!value)
		sum.reset();
	else if (sum || is_first)
		sum = sum.value_or(0) + *value;
}

void add_side(SideStory &story, const ParsedSide &side, nanoseconds gap, WallTime last)
{
	const bool is_first = story.packets == 0;
	story.ip = side.ip;
	story.port = side.port;
	story.packets += side.packets;
	story.zero_windows += side.zero_windows;
	story.fin = story.fin || side.fin;
	story.rst = story.rst || side.rst;
	story.timeout = side.timeout;
	story.analyzed = story.analyzed && side.stall;
	if (!side.stall)
		return;
	if (story.stall.open)
		stay_closed(story, gap);
	add_optional(story.stall.probes, side.stall->probes, is_first);
	add_optional(story.stall.answers, side.stall->answers, is_first);
	add_record(story, *side.stall, last);
}

void extend(Connection &connection, const ParsedFlow &flow)
{
	const nanoseconds gap = connection.records ? flow.first - connection.record.last : nanoseconds(0);
	std::vector<bool> seen(connection.sides.size());
	for (const ParsedSide *side : {&flow.a, flow.b ? &*flow.b : nullptr}) {
		if (!side)
			continue;
		auto story = std::ranges::find_if(connection.sides, [&](const auto &s) { return is_same(s, *side); });
		if (story != connection.sides.end())
			seen[static_cast<std::size_t>(story - connection.sides.begin())] = true;
		else
			story = connection.sides.insert(story, SideStory{});
		add_side(*story, *side, std::max(gap, nanoseconds(0)), flow.last);
	}
	for (std::size_t i = 0; i < seen.size(); i++)
		if (!seen[i] && connection.sides[i].stall.open)
			stay_closed(connection.sides[i], std::max(flow.last - connection.record.last, nanoseconds(0)));
	connection.record = flow;
	connection.records++;
}

} // namespace

const SideStory *Connection::peer_of(const SideStory &side) const
{
	if (sides.size() < 2)
		return nullptr;
	return &side == sides.data() ? sides.data() + 1 : sides.data();
}

// Flow numbers start again with each run of the agent, so this is the last flow of that number, if it has the same
// endpoints.
Connection *Connections::find_continued(const ParsedFlow &flow)
{
	const auto found = flow.continues ? by_id_.find(flow.continues) : by_id_.end();
	if (found == by_id_.end())
		return nullptr;
	Connection &connection = connections_[found->second];
	const bool same = std::ranges::any_of(connection.sides, [&](const auto &s) { return is_same(s, flow.a); });
	return same ? &connection : nullptr;
}

void Connections::count(const ParsedFlow &flow)
{
	flows_++;
	for (const ParsedSide *side : {&flow.a, flow.b ? &*flow.b : nullptr})
		if (side && side->stall && !side->has_stalled())
			harmless_ += side->zero_windows;
	if (!flow.a.stall || (flow.b && !flow.b->stall))
		without_analysis_++;
}

void Connections::add(ParsedFlow flow)
{
	count(flow);
	Connection *connection = find_continued(flow);
	if (!connection) {
		if (!flow.a.has_stalled() && !(flow.b && flow.b->has_stalled()))
			return;
		connection = &connections_.emplace_back();
		connection->first = flow.first;
		connection->first_id = flow.id;
	}
	by_id_[flow.id] = static_cast<std::size_t>(connection - connections_.data());
	extend(*connection, flow);
}

std::vector<Entry> Connections::stalled() const
{
	std::vector<Entry> entries;
	for (const Connection &connection : connections_)
		for (const SideStory &side : connection.sides)
			if (side.has_stalled())
				entries.push_back({&connection, &side});
	std::ranges::stable_sort(entries, std::ranges::greater{}, [](const Entry &entry) {
		return std::tuple(entry.side->stall.total, entry.side->zero_windows);
	});
	return entries;
}

} // namespace tcpwin
