// SPDX-License-Identifier: Apache-2.0
#include "explain/connections.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "record/names.hpp"

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;

// A file may contain any numbers.
nanoseconds sum_of(nanoseconds left, nanoseconds right)
{
	std::int64_t sum;
	return __builtin_add_overflow(left.count(), right.count(), &sum) ? nanoseconds::max() : nanoseconds(sum);
}

std::uint64_t sum_of(std::uint64_t left, std::uint64_t right)
{
	std::uint64_t sum;
	return __builtin_add_overflow(left, right, &sum) ? UINT64_MAX : sum;
}

bool is_same(const SideStory &story, const ParsedSide &side)
{
	return story.ip == side.ip && story.port == side.port;
}

// A window that was closed at the end of a record is taken as closed until the endpoint announces another one: during
// the time to the next record, and during all of that record if the endpoint is silent in it.
void stay_closed(SideStory &story, nanoseconds time)
{
	story.stall.total = sum_of(story.stall.total, time);
	story.open_for = sum_of(story.open_for, time);
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
	story.open_for = is_one ? sum_of(before, stall.total) : open_at(last, stall);
	story.stall.episodes = sum_of(story.stall.episodes, stall.episodes - (continues && stall.episodes ? 1 : 0));
	story.stall.total = sum_of(story.stall.total, stall.total);
	story.stall.longest = std::max({story.stall.longest, stall.longest, story.open_for});
	if (stall.episodes)
		story.stall.last_ended = stall.last_ended;
	else if (continues)
		story.stall.last_ended = story.rst && !story.ignored ? "reset" : story.fin ? "fin" : "resumed";
	if (stall.episodes && !(continues && is_one))
		story.stall.last_began = stall.last_began;
	story.stall.open = stall.open;
}

void add_optional(std::optional<std::uint64_t> &sum, const std::optional<std::uint64_t> &value, bool is_first)
{
	if (!value)
		sum.reset();
	else if (sum || is_first)
		sum = sum_of(sum.value_or(0), *value);
}

void add_side(SideStory &story, const ParsedSide &side, nanoseconds gap, WallTime last)
{
	const bool is_first = story.packets == 0;
	story.ip = side.ip;
	story.port = side.port;
	story.packets = sum_of(story.packets, side.packets);
	story.zero_windows = sum_of(story.zero_windows, side.zero_windows);
	story.ignored = sum_of(story.ignored, side.ignored);
	story.duplicates = sum_of(story.duplicates, side.duplicates);
	story.fin = story.fin || side.fin;
	story.rst = story.rst || side.rst;
	story.timeout = side.timeout;
	story.analyzed = story.analyzed && side.stall;
	story.window_max = std::max(story.window_max, side.window_max);
	if (side.local)
		story.local = side.local;
	if (side.limits) {
		story.limits.receiver = sum_of(story.limits.receiver, side.limits->receiver);
		story.limits.network = sum_of(story.limits.network, side.limits->network);
		story.limits.application = sum_of(story.limits.application, side.limits->application);
	}
	if (!side.stall)
		return;
	if (story.stall.open)
		stay_closed(story, gap);
	add_optional(story.stall.probes, side.stall->probes, is_first);
	add_optional(story.stall.answers, side.stall->answers, is_first);
	add_record(story, *side.stall, last);
}

// The story of a side that is not taken yet; both sides may have the same address and port. None: a third endpoint.
std::size_t place_of(const Connection &connection, const ParsedSide &side, const std::array<bool, 2> &taken)
{
	for (std::size_t i = 0; i < connection.sides.size(); i++)
		if (!taken[i] && is_same(connection.sides[i], side))
			return i;
	return connection.sides.size();
}

bool has_clock_gone_back(const ParsedFlow &flow)
{
	const auto has = [&](const ParsedSide &side) {
		return side.stall && side.stall->last_began && *side.stall->last_began > flow.last;
	};
	return flow.last < flow.first || has(flow.a) || (flow.b && has(*flow.b));
}

void extend(Connection &connection, const ParsedFlow &flow)
{
	const nanoseconds gap = connection.records ? flow.first - connection.record.last : nanoseconds(0);
	const std::size_t known = connection.sides.size();
	std::array<bool, 2> seen{};
	for (const ParsedSide *side : {&flow.a, flow.b ? &*flow.b : nullptr}) {
		const std::size_t place = side ? place_of(connection, *side, seen) : seen.size();
		if (place == seen.size())
			continue;
		if (place == connection.sides.size())
			connection.sides.emplace_back();
		seen[place] = true;
		add_side(connection.sides[place], *side, std::max(gap, nanoseconds(0)), flow.last);
	}
	for (std::size_t i = 0; i < known; i++)
		if (!seen[i] && connection.sides[i].stall.open)
			stay_closed(connection.sides[i], std::max(flow.last - connection.record.last, nanoseconds(0)));
	std::set<std::uint64_t> vlans = std::move(connection.record.vlans);
	connection.record = flow;
	connection.record.vlans.merge(vlans);
	connection.records++;
	connection.clock_went_back = connection.clock_went_back || has_clock_gone_back(flow);
}

// The same packets at another place: same endpoints, within a second, and as many stalls.
using Endpoints = std::tuple<std::string, std::uint16_t, std::string, std::uint16_t>;

Endpoints endpoints_of(const Entry &entry)
{
	const SideStory *peer = entry.connection->peer_of(*entry.side);
	return {entry.side->ip, entry.side->port, peer ? peer->ip : "", peer ? peer->port : std::uint16_t{0}};
}

bool is_copy(const Entry &entry, const Entry &first)
{
	const Connection &one = *entry.connection, &other = *first.connection;
	const auto is_near = [](WallTime left, WallTime right) {
		return std::chrono::abs(left - right) <= std::chrono::seconds(1);
	};
	const bool elsewhere = one.record.interface != other.record.interface || one.record.vlan != other.record.vlan;
	return elsewhere && one.sides.size() == 2 && is_near(one.first, other.first) &&
	       is_near(one.record.last, other.record.last) && entry.side->stall.episodes == first.side->stall.episodes;
}

// Moves the copies of an entry into it.
std::vector<Entry> join_copies(std::vector<Entry> entries)
{
	std::vector<std::pair<Endpoints, Entry>> sorted;
	sorted.reserve(entries.size());
	for (Entry &entry : entries)
		sorted.emplace_back(endpoints_of(entry), std::move(entry));
	std::ranges::stable_sort(sorted, {}, [](const auto &one) {
		return std::tuple<const Endpoints &, WallTime>(one.first, one.second.connection->first);
	});
	std::vector<Entry> joined;
	const Endpoints *last = nullptr;
	for (auto &[endpoints, entry] : sorted) {
		if (last && *last == endpoints && is_copy(entry, joined.back()))
			joined.back().copies.push_back(entry.connection);
		else
			joined.push_back(std::move(entry));
		last = &endpoints;
	}
	std::ranges::sort(joined, {}, [](const Entry &entry) { return std::tuple(entry.connection, entry.side); });
	return joined;
}

} // namespace

const SideStory *Connection::peer_of(const SideStory &side) const
{
	if (sides.size() < 2)
		return nullptr;
	return &side == sides.data() ? sides.data() + 1 : sides.data();
}

bool Connection::was_reset_by(const SideStory &side) const
{
	const bool seen = std::ranges::any_of(sides, [](const auto &one) { return one.stall.last_ended == "reset"; });
	return side.rst && (seen || !side.ignored);
}

// Flow numbers start again with each run of the agent, so this is the last flow of that number, if it has the same
// endpoints.
Connection *Connections::find_continued(const ParsedFlow &flow)
{
	const auto found = flow.continues ? by_id_.find(flow.continues) : by_id_.end();
	if (found == by_id_.end())
		return nullptr;
	Connection &connection = connections_[found->second];
	const auto is_side = [&](const ParsedSide &side) {
		return std::ranges::any_of(connection.sides, [&](const auto &story) { return is_same(story, side); });
	};
	const bool a = is_side(flow.a), b = !flow.b || is_side(*flow.b);
	return a && b ? &connection : (a || (flow.b && b)) && connection.sides.size() == 1 ? &connection : nullptr;
}

void Connections::count(const ParsedFlow &flow)
{
	flows_++;
	if (flow.end_reason == name_of(TCPWIN_END_EVICTED) || flow.end_reason == name_of(TCPWIN_END_UNANSWERED_TIMEOUT))
		ended_early_ = sum_of(ended_early_, std::uint64_t{1});
	for (const ParsedSide *side : {&flow.a, flow.b ? &*flow.b : nullptr}) {
		if (!side)
			continue;
		packets_ = sum_of(packets_, side->packets);
		duplicates_ = sum_of(duplicates_, side->duplicates);
		if (side->stall && !side->has_stalled())
			harmless_ = sum_of(harmless_, side->zero_windows);
	}
	earliest_ = std::min(earliest_, flow.first);
	latest_ = std::max({latest_, flow.first, flow.last});
	went_back_ += has_clock_gone_back(flow);
	if (!flow.a.stall || (flow.b && !flow.b->stall))
		without_analysis_++;
}

void Connections::add(const ParsedFlood &flood)
{
	ended_early_ = sum_of(ended_early_, sum_of(flood.flows, flood.unrecorded_flows));
	for (const ParsedFlood::Receiver &receiver : flood.receivers) {
		Flooded &known = flooded_[{receiver.ip, receiver.port}];
		known.flows = sum_of(known.flows, receiver.flows);
		known.rate = std::max(known.rate, receiver.rate);
	}
}

void Connections::add(ParsedFlow flow)
{
	count(flow);
	Connection *connection = find_continued(flow);
	if (!connection) {
		const auto is_of_interest = [](const ParsedSide &side) {
			return side.has_stalled() || side.was_limited();
		};
		if (!is_of_interest(flow.a) && !(flow.b && is_of_interest(*flow.b)))
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
	entries = join_copies(std::move(entries));
	std::ranges::stable_sort(entries, std::ranges::greater{}, [](const Entry &entry) {
		return std::tuple(entry.side->stall.total, entry.side->zero_windows);
	});
	return entries;
}

std::vector<Entry> Connections::limiting() const
{
	const auto limits = [](const Entry &entry) { return entry.connection->peer_of(*entry.side)->limits; };
	std::vector<Entry> entries;
	for (const Connection &connection : connections_)
		for (const SideStory &side : connection.sides)
			if (const SideStory *peer = connection.peer_of(side);
			    peer && !side.has_stalled() && peer->limits.verdict().limit == Limit::receiver)
				entries.push_back({&connection, &side});
	entries = join_copies(std::move(entries));
	std::ranges::stable_sort(entries, std::ranges::greater{},
				 [&](const Entry &entry) { return limits(entry).receiver; });
	return entries;
}

} // namespace tcpwin
