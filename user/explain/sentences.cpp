// SPDX-License-Identifier: Apache-2.0
#include "explain/sentences.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

std::string address(const std::string &ip, std::uint16_t port)
{
	return ip.find(':') == std::string::npos ? fmt::format("{}:{}", ip, port) : fmt::format("[{}]:{}", ip, port);
}

std::string endpoint(const SideStory &side)
{
	return address(side.ip, side.port);
}

std::string two_units(std::int64_t large, const char *unit, std::int64_t small, const char *small_unit)
{
	return small ? fmt::format("{} {} {} {}", large, unit, small, small_unit) : fmt::format("{} {}", large, unit);
}

std::string span(nanoseconds time)
{
	const double seconds = static_cast<double>(time.count()) / 1e9;
	if (time >= 24h)
		return two_units(time / 24h, "d", time % 24h / 1h, "h");
	if (time >= 1h)
		return two_units(time / 1h, "h", time % 1h / 1min, "min");
	if (time >= 60s)
		return two_units(time / 60s, "min", time % 60s / 1s, "s");
	if (time >= 999'500us)
		return fmt::format("{:.1f} s", seconds);
	if (time >= 999'500ns)
		return fmt::format("{:.0f} ms", seconds * 1e3);
	if (time >= 1us)
		return fmt::format("{:.0f} us", seconds * 1e6);
	return "less than 1 us";
}

// Milliseconds are enough for readers.
std::string moment(WallTime time)
{
	const std::string text = format_time(time);
	return text.substr(0, text.find('.') + 4) + "Z";
}

std::string times(std::uint64_t count)
{
	return count == 1 ? "once" : count == 2 ? "twice" : fmt::format("{} times", count);
}

std::string plural(std::uint64_t count, const char *one, const char *many)
{
	return fmt::format("{} {}", count, count == 1 ? one : many);
}

// "from 10.0.0.1:40000 ", or empty if the peer was never seen.
std::string and_peer(const char *preposition, const Entry &entry)
{
	const SideStory *peer = entry.connection->peer_of(*entry.side);
	return peer ? fmt::format("{} {} ", preposition, endpoint(*peer)) : "";
}

// For a record without stall analysis.
std::string what_was_counted(const Entry &entry)
{
	const SideStory &side = *entry.side;
	return fmt::format("{} announced a closed window {}in {} of its {}. It is not known for how long: "
			   "{} no stall analysis.",
			   endpoint(side), and_peer("to", entry), side.zero_windows,
			   plural(side.packets, "packet", "packets"),
			   entry.connection->records > 1 ? "some of its records have" : "the record has");
}

// The moment of a stall is unknown without times; its length also if the clock went back.
std::string what_happened(const Entry &entry, bool has_times)
{
	const SideStory &side = *entry.side;
	const ParsedStall &stall = side.stall;
	const bool several = stall.episodes > 1;
	const bool is_known = has_times && (stall.total > 0ns || !entry.connection->clock_went_back);
	std::string text =
		fmt::format("{} stopped reading {}{}, for {}", endpoint(side), and_peer("from", entry),
			    times(stall.episodes), is_known ? span(stall.total) : std::string("an unknown time"));
	if (several && is_known)
		text += fmt::format(" in all (the longest {}{})", side.longest_is_least ? "at least " : "",
				    span(stall.longest));
	if (stall.last_began && has_times)
		text += fmt::format(", {}from {}", several ? "the last time " : "", moment(*stall.last_began));
	return text + ".";
}

std::string what_the_peer_did(const Entry &entry)
{
	const SideStory *peer = entry.connection->peer_of(*entry.side);
	const ParsedStall &stall = entry.side->stall;
	if (!peer)
		return "Its peer was not seen.";
	if (!stall.probes)
		return fmt::format("It is not known whether {} probed.", endpoint(*peer));
	if (!*stall.probes)
		return endpoint(*peer) + " sent no probe.";
	const std::string probed = fmt::format("{} probed {}", endpoint(*peer), times(*stall.probes));
	if (!stall.answers)
		return probed + ".";
	if (!*stall.answers)
		return probed + " and received no answer.";
	return fmt::format("{} and received {}: the window was still closed.", probed,
			   plural(*stall.answers, "answer", "answers"));
}

std::string how_it_ended(const ParsedStall &stall)
{
	const bool several = stall.episodes > 1;
	if (stall.open)
		return several ? "After the last stall, the window was not opened again." :
				 "The window was not opened again.";
	if (stall.last_ended == "resumed")
		return several ? "Reading resumed after the last stall." : "Reading resumed.";
	if (stall.last_ended == "fin")
		return several ? "The last stall ended with a FIN." : "It ended with a FIN.";
	if (stall.last_ended == "reset")
		return several ? "The last stall ended with a reset (RST)." : "It ended with a reset (RST).";
	if (stall.last_ended == "new_connection")
		return several ? "The last stall ended because a new connection began on the same ports." :
				 "It ended because a new connection began on the same ports.";
	return "How it ended was not seen.";
}

// "VLAN 20", "VLANs 10 and 20", or empty.
std::string vlans(const ParsedFlow &flow)
{
	if (flow.vlans.empty())
		return "";
	return fmt::format("VLAN{} {}", flow.vlans.size() > 1 ? "s" : "", fmt::join(flow.vlans, " and "));
}

// "eth0, VLAN 20", or empty.
std::string place(const Connection &connection)
{
	const ParsedFlow &flow = connection.record;
	const bool both = !flow.interface.empty() && !flow.vlans.empty();
	return flow.interface + (both ? ", " : "") + vlans(flow);
}

// " It was also seen on VLAN 20 and VLAN 30.", or empty.
std::string other_places(const Entry &entry)
{
	std::set<std::string> places;
	for (const Connection *copy : entry.copies)
		places.insert(place(*copy).empty() ? "no VLAN" : place(*copy));
	return places.empty() ? "" : fmt::format(" It was also seen on {}.", fmt::join(places, " and "));
}

std::string where(const Connection &connection, bool has_times)
{
	const ParsedFlow &last = connection.record;
	std::string text = has_times ? fmt::format("Seen from {} to {}", moment(connection.first), moment(last.last)) :
				       "Seen at an unknown time";
	if (!last.interface.empty())
		text += " on " + last.interface;
	if (!last.vlans.empty())
		text += ", " + vlans(last);
	if (connection.records == 1)
		return text + fmt::format(" (flow {}).", last.id);
	return text + fmt::format(" ({} flows that continue each other, {} to {}).", connection.records,
				  connection.first_id, last.id);
}

// The sides that did it: one endpoint, "both sides", or empty.
template <typename Did> std::string who(const Connection &connection, Did did)
{
	const auto &sides = connection.sides;
	if (std::ranges::count_if(sides, did) == 2)
		return "both sides";
	const auto one = std::ranges::find_if(sides, did);
	return one == sides.end() ? "" : endpoint(*one);
}

std::string how_the_connection_ended(const Connection &connection)
{
	const std::string reset = who(connection, [&](const SideStory &side) { return connection.was_reset_by(side); });
	const std::string closed = who(connection, [](const SideStory &side) { return side.fin; });
	const std::string &reason = connection.record.end_reason;
	nanoseconds timeout{0};
	for (const SideStory &side : connection.sides)
		timeout = std::max(timeout, side.timeout);
	if (!reset.empty())
		return fmt::format("The connection was reset by {}.", reset);
	if (!closed.empty())
		return fmt::format("The connection was closed by {} (FIN).", closed);
	if (reason == "shutdown")
		return "The recording ended before the connection did.";
	if (reason == "active_timeout")
		return "The connection was still alive when this was recorded.";
	if (reason == "terminated")
		return "The record ends at the packet that reached the abort count (--on-threshold terminate).";
	if (reason == "interface_gone")
		return "Then the interface was deleted.";
	if (reason == "abort_timeout")
		return fmt::format("The record ends {} after the last packet, because the flow was aborted for its "
				   "zero windows.",
				   span(timeout));
	return fmt::format("Then no packet was seen for {}, the timeout.", span(timeout));
}

// " 2 segments of 10.0.0.1:40000 were outside the window of its peer, which ignored them.", for each side.
std::string what_was_ignored(const Connection &connection)
{
	std::string text;
	for (const SideStory &side : connection.sides)
		if (side.ignored)
			text += fmt::format(" {} of {} {} outside the window of its peer, which ignored {}.",
					    plural(side.ignored, "segment", "segments"), endpoint(side),
					    side.ignored == 1 ? "was" : "were", side.ignored == 1 ? "it" : "them");
	return text;
}

std::string size(std::uint64_t bytes)
{
	if (bytes < 1024)
		return plural(bytes, "byte", "bytes");
	return bytes < 1024 * 1024 ? fmt::format("{} KiB", bytes / 1024) :
				     fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

// " 10.0.0.1:40000 is curl (pid 77, uid 0) on the agent's host; when last asked, it had 64 KiB unread.", for each side that is known.
std::string which_program(const Connection &connection)
{
	std::string text;
	for (const SideStory &side : connection.sides)
		if (side.local)
			text += fmt::format(" {} is {} on the agent's host{}.", endpoint(side), side.local->name,
					    side.local->unread ? fmt::format("; when last asked, it had {} unread",
									     size(side.local->unread)) :
								 "");
	return text;
}

// "10.0.0.1:40000 for 66 % of the 4.3 s in which it had data under way", or empty if that was too short to say.
std::string whom_it_held_up(const Entry &entry)
{
	const SideStory *peer = entry.connection->peer_of(*entry.side);
	if (!peer || peer->limits.verdict().limit == Limit::none || peer->limits.busy() == 0ns)
		return "";
	return fmt::format("{} for {} % of the {} in which it had data under way", endpoint(*peer),
			   peer->limits.receiver * 100 / peer->limits.busy(), span(peer->limits.busy()));
}

std::string paragraph(std::size_t number, const Entry &entry, bool has_times)
{
	const bool analyzed = entry.side->stall.episodes != 0;
	const std::string what = analyzed ? what_happened(entry, has_times) : what_was_counted(entry);
	const std::string whom = whom_it_held_up(entry);
	const std::string limit = whom.empty() ? "" : fmt::format(" In all, its window held up {}.", whom);
	const std::string meanwhile = analyzed ? fmt::format("   {} {}{}\n", what_the_peer_did(entry),
							     how_it_ended(entry.side->stall), limit) :
						 "";
	const Connection &connection = *entry.connection;
	return fmt::format("\n{}. {}\n{}   {}{} {}{}{}\n", number, what, meanwhile, where(connection, has_times),
			   other_places(entry), how_the_connection_ended(connection), what_was_ignored(connection),
			   which_program(connection));
}

// " The worst 3:", or empty if all are shown.
std::string how_many_are_shown(std::size_t shown, std::size_t all)
{
	return shown < all ? fmt::format(" The worst {}:", shown) : "";
}

// Receivers that closed no window.
std::string about_limits(const Connections &connections, std::size_t top)
{
	const std::vector<Entry> entries = connections.limiting();
	if (entries.empty() || connections.has_no_times())
		return "";
	const std::size_t shown = std::min(top, entries.size());
	std::string text = fmt::format(
		"\n{} without closing its window.{}\n",
		plural(entries.size(), "endpoint held up its sender", "endpoints each held up their sender"),
		how_many_are_shown(shown, entries.size()));
	for (std::size_t i = 0; i < shown; i++) {
		const Entry &entry = entries[i];
		const std::string window = entry.side->window_max ?
						   fmt::format(", with a window of at most {} that was never zero",
							       size(entry.side->window_max)) :
						   "";
		text += fmt::format("\n{}. {} held up {}{}.\n   {}{} {}{}\n", i + 1, endpoint(*entry.side),
				    whom_it_held_up(entry), window, where(*entry.connection, true), other_places(entry),
				    how_the_connection_ended(*entry.connection), which_program(*entry.connection));
	}
	return text;
}

std::string no_stalls(const Connections &connections)
{
	if (!connections.flows())
		return "No stalls: there are no flows.\n";
	std::string text = fmt::format("No stalls: no endpoint stopped reading in {}.\n",
				       plural(connections.flows(), "flow", "flows"));
	if (connections.harmless())
		text += fmt::format(
			"{} announced a window of zero in a SYN, FIN or RST, or too late, which blocks no sender.\n",
			plural(connections.harmless(), "packet", "packets"));
	return text;
}

// Ended by a timeout, not by the connection.
bool is_cut(const Entry &entry)
{
	const std::string &reason = entry.connection->record.end_reason;
	const bool timed_out = reason == "abort_timeout" || reason == "terminated" ||
			       (reason == "idle_timeout" && entry.side->stall.open);
	return entry.connection->records > 1 || timed_out;
}

std::string about_the_clock(const Connections &connections)
{
	const ClockFindings &clock = connections.clock();
	if (clock.no_times)
		return "\nThe capture has no times: durations are not known.\n";
	if (connections.has_no_times())
		return "\nThe records have no times: durations are not known.\n";
	std::string text;
	if (clock.steps_back) {
		const WallTime first(nanoseconds(static_cast<std::int64_t>(clock.first_step_ns)));
		text += fmt::format(
			"\nThe clock of the capture was set back {}, by about {}{}, {}at {} (frame {}): time "
			"that passed meanwhile is not counted.\n",
			times(clock.steps_back), span(clock.about_back()), clock.steps_back == 1 ? "" : " in all",
			clock.steps_back == 1 ? "" : "first ", moment(first), clock.first_step_frame);
	}
	if (clock.wild_frames)
		text += fmt::format(
			"\n{} of the capture had a wild time, and counted at the time of the frame before.\n",
			plural(clock.wild_frames, "frame", "frames"));
	if (connections.went_back())
		text += fmt::format("\nThe clock went back during {}: some durations are not known.\n",
				    plural(connections.went_back(), "flow", "flows"));
	return text;
}

std::string about_floods(const Connections &connections)
{
	using Receiver = Connections::Receivers::value_type;
	const auto flows = [](const Receiver &receiver) { return receiver.second.flows; };
	std::string text;
	if (connections.ended_early()) {
		text += fmt::format("\n{} ended early and unanswered, because the flow table filled",
				    plural(connections.ended_early(), "flow", "flows"));
		const auto most = std::ranges::max_element(connections.flooded(), {}, flows);
		text += most != connections.flooded().end() && most->second.flows ?
				fmt::format("; most of them, {}, to {}.\n", most->second.flows,
					    address(most->first.first, most->first.second)) :
				".\n";
	}
	for (const auto &[receiver, flood] : connections.flooded())
		if (flood.rate)
			text += fmt::format("\nSYN flood: up to {} connections per second to {} ended unanswered.\n",
					    flood.rate, address(receiver.first, receiver.second));
	return text;
}

std::string remarks(const Connections &connections, const std::vector<Entry> &entries)
{
	std::string text = about_the_clock(connections) + about_floods(connections);
	if (connections.duplicates())
		text += fmt::format("\nThe capture has {} twice (a mirror port?).\n",
				    plural(connections.duplicates(), "packet", "packets"));
	if (connections.without_analysis())
		text += fmt::format(
			"\nWithout stall analysis: {} of {}. Only counts are known for these: windows below the "
			"threshold, SYN and RST included.\n",
			connections.without_analysis(), plural(connections.flows(), "flow", "flows"));
	if (std::ranges::any_of(entries, is_cut))
		text += "\nShort timeouts cut a stall into several flows. To see it whole, record with --profile monitor, "
			"or explain a capture.\n";
	return text;
}

} // namespace

std::string format_summary(const Connections &connections, std::size_t top)
{
	const std::vector<Entry> entries = connections.stalled();
	if (entries.empty())
		return no_stalls(connections) + about_limits(connections, top) + remarks(connections, entries);
	const std::size_t shown = std::min(top, entries.size());
	std::string text = fmt::format(
		"{}, in {}.{}\n", plural(entries.size(), "endpoint closed its window", "endpoints closed their window"),
		plural(connections.flows(), "flow", "flows"), how_many_are_shown(shown, entries.size()));
	for (std::size_t i = 0; i < shown; i++)
		text += paragraph(i + 1, entries[i], !connections.has_no_times());
	return text + about_limits(connections, top) + remarks(connections, entries);
}

} // namespace tcpwin
