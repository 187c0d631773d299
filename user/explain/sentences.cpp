// SPDX-License-Identifier: Apache-2.0
#include "explain/sentences.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace tcpwin {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

std::string endpoint(const SideStory &side)
{
	return side.ip.find(':') == std::string::npos ? fmt::format("{}:{}", side.ip, side.port) :
							fmt::format("[{}]:{}", side.ip, side.port);
}

std::string span(nanoseconds time)
{
	const double seconds = static_cast<double>(time.count()) / 1e9;
	if (time >= 60s)
		return fmt::format("{} min {} s", time / 60s, time % 60s / 1s);
	if (time >= 1s)
		return fmt::format("{:.1f} s", seconds);
	if (time >= 1ms)
		return fmt::format("{:.0f} ms", seconds * 1e3);
	return fmt::format("{:.0f} us", seconds * 1e6);
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

std::string what_happened(const Entry &entry)
{
	const SideStory &side = *entry.side;
	const ParsedStall &stall = side.stall;
	const bool several = stall.episodes > 1;
	std::string text = fmt::format("{} stopped reading {}{}, for {}", endpoint(side), and_peer("from", entry),
				       times(stall.episodes), span(stall.total));
	if (several)
		text += fmt::format(" in all (the longest {}{})", side.longest_is_least ? "at least " : "",
				    span(stall.longest));
	if (stall.last_began)
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
	return "How it ended was not seen.";
}

std::string where(const Connection &connection)
{
	const ParsedFlow &last = connection.record;
	std::string text = fmt::format("Seen from {} to {}", moment(connection.first), moment(last.last));
	if (!last.interface.empty())
		text += " on " + last.interface;
	if (last.vlan)
		text += fmt::format(", VLAN {}", last.vlan);
	if (connection.records == 1)
		return text + fmt::format(" (flow {}).", last.id);
	return text + fmt::format(" ({} flows that continue each other, {} to {}).", connection.records,
				  connection.first_id, last.id);
}

// The sender of the flag: one endpoint, "both sides", or empty.
std::string who_sent(const Connection &connection, bool SideStory::*flag)
{
	const auto &sides = connection.sides;
	const auto count = std::ranges::count_if(sides, [&](const SideStory &side) { return side.*flag; });
	if (count == 2)
		return "both sides";
	const auto one = std::ranges::find_if(sides, [&](const SideStory &side) { return side.*flag; });
	return one == sides.end() ? "" : endpoint(*one);
}

std::string how_the_connection_ended(const Connection &connection)
{
	const std::string reset = who_sent(connection, &SideStory::rst), closed = who_sent(connection, &SideStory::fin);
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

std::string paragraph(std::size_t number, const Entry &entry)
{
	const bool analyzed = entry.side->stall.episodes != 0;
	const std::string what = analyzed ? what_happened(entry) : what_was_counted(entry);
	const std::string meanwhile =
		analyzed ? fmt::format("   {} {}\n", what_the_peer_did(entry), how_it_ended(entry.side->stall)) : "";
	return fmt::format("\n{}. {}\n{}   {} {}\n", number, what, meanwhile, where(*entry.connection),
			   how_the_connection_ended(*entry.connection));
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

std::string remarks(const Connections &connections, const std::vector<Entry> &entries)
{
	std::string text;
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
		return no_stalls(connections) + remarks(connections, entries);
	const std::size_t shown = std::min(top, entries.size());
	std::string text = fmt::format(
		"{}, in {}.{}\n", plural(entries.size(), "endpoint closed its window", "endpoints closed their window"),
		plural(connections.flows(), "flow", "flows"),
		shown < entries.size() ? fmt::format(" The worst {}:", shown) : "");
	for (std::size_t i = 0; i < shown; i++)
		text += paragraph(i + 1, entries[i]);
	return text + remarks(connections, entries);
}

} // namespace tcpwin
