// SPDX-License-Identifier: Apache-2.0
#include "live/columns.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/printable.hpp"
#include "record/names.hpp"
#include "record/record.hpp"

namespace tcpwin {
namespace {

constexpr std::size_t longest_ipv4 = 21; // with the port
constexpr std::size_t shortest_cut = 8;

std::string state_text(const LiveFlow &flow)
{
	const auto text = [](const LiveSide &side) {
		return side.seen ? name_of(static_cast<tcpwin_state>(side.state)) : "-";
	};
	return fmt::format("{}/{}", text(flow.side[0]), text(flow.side[1]));
}

// The endpoints whose window is closed now.
std::string closed_text(const LiveFlow &flow)
{
	const bool a = flow.side[0].closed, b = flow.side[1].closed;
	return !flow.analyzed ? "?" : a && b ? "A+B" : a ? "A" : b ? "B" : "-";
}

// What held up the side that sent more, as "receiver:66%".
std::string limit_text(const Verdict &verdict)
{
	constexpr std::array<std::string_view, 4> names{"-", "receiver", "network", "sender"};
	const std::string_view name = names[static_cast<std::size_t>(verdict.limit)];
	return verdict.limit == Limit::none ? std::string(name) : fmt::format("{}:{}%", name, verdict.percent);
}

// Removes the middle: the ends of an address and the port are more informative.
void cut(std::string &text, std::size_t width)
{
	if (text.size() <= width)
		return;
	const std::size_t end = width / 2, begin = width - end;
	text = text.substr(0, begin) + text.substr(text.size() - end);
	if (begin)
		text[begin - 1] = '~';
}

} // namespace

std::string brief_count(std::uint64_t count)
{
	if (count < 1000)
		return fmt::format("{}", count);
	auto value = static_cast<double>(count);
	const char *unit = "kMGTPE";
	for (value /= 1000; value >= 999.5; value /= 1000)
		unit++;
	return value < 99.95 ? fmt::format("{:.1f}{}", value, *unit) : fmt::format("{:.0f}{}", value, *unit);
}

std::string brief_time(std::uint64_t nanoseconds)
{
	const std::uint64_t ms = nanoseconds / 1'000'000, s = ms / 1000;
	if (!nanoseconds)
		return "-";
	if (nanoseconds < 1000)
		return "<1us";
	if (!ms)
		return fmt::format("{}us", nanoseconds / 1000);
	if (!s)
		return fmt::format("{}ms", ms);
	if (s < 60)
		return fmt::format("{}.{}s", s, ms % 1000 / 100);
	if (s < 3600)
		return fmt::format("{}m{:02}s", s / 60, s % 60);
	if (s < 86'400)
		return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
	return fmt::format("{}d{:02}h", s / 86'400, s % 86'400 / 3600);
}

Columns::Columns(std::vector<Column> columns) : columns_(std::move(columns))
{
	for (const Column &column : columns_)
		widths_.push_back(column.heading.size());
}

Columns Columns::of_flows(Numbers numbers, const InterfaceNames &names, ProgramsOf programs)
{
	Columns columns({{"A", left, 0},
			 {"B", left, 0},
			 {"STATE", left, 5},
			 {"CLOSED", left, 1},
			 {"STALLED", right, 0},
			 {"LONGEST", right, 6},
			 {"LIMIT", left, 4},
			 {"ZEROWIN", right, 2},
			 {"PACKETS", right, 4},
			 {"BYTES", right, 2},
			 {"RETRANS", right, 7},
			 {"IDLE", right, 3},
			 {"DURATION", right, 8},
			 {"IFACE", left, 9},
			 {"PROGRAM", left, 5}});
	columns.numbers_ = numbers;
	columns.names_ = names;
	columns.programs_ = std::move(programs);
	return columns;
}

Columns Columns::of_peers()
{
	return Columns({{"PEER", left, 0},
			{"FLOWS", right, 1},
			{"CLOSED", right, 1},
			{"STALLED", right, 0},
			{"LONGEST", right, 2},
			{"ZEROWIN", right, 2},
			{"PACKETS", right, 4},
			{"BYTES", right, 3},
			{"RETRANS", right, 5},
			{"IDLE", right, 3}});
}

Columns::Cells Columns::cells(const LiveFlow &flow) const
{
	const auto count = [&](SortKey key) {
		const std::uint64_t value = amount(flow.amounts, key);
		return numbers_ == Numbers::exact ? fmt::format("{}", value) : brief_count(value);
	};
	const auto known = [&](std::string text) { return flow.analyzed ? std::move(text) : "?"; };
	const auto name = names_.find(flow.ifindex);
	return {endpoint_text(flow, 0),
		endpoint_text(flow, 1),
		state_text(flow),
		closed_text(flow),
		known(brief_time(amount(flow.amounts, SortKey::stalled))),
		known(brief_time(std::max(flow.side[0].longest_ns, flow.side[1].longest_ns))),
		known(limit_text(flow.verdict)),
		count(SortKey::zero_windows),
		count(SortKey::packets),
		count(SortKey::bytes),
		known(count(SortKey::retransmitted)),
		brief_time(amount(flow.amounts, SortKey::idle)),
		brief_time(amount(flow.amounts, SortKey::duration)),
		name == names_.end() || name->second.empty() ? "?" : printable(name->second),
		programs_(flow)};
}

Columns::Cells Columns::cells(const Peer &peer) const
{
	const auto count = [&](SortKey key) { return brief_count(amount(peer.amounts, key)); };
	return {format_address(peer.address),  brief_count(peer.flows),
		brief_count(peer.closed),      brief_time(amount(peer.amounts, SortKey::stalled)),
		brief_time(peer.longest_ns),   count(SortKey::zero_windows),
		count(SortKey::packets),       count(SortKey::bytes),
		count(SortKey::retransmitted), brief_time(amount(peer.amounts, SortKey::idle))};
}

Columns::Cells Columns::headings() const
{
	Cells headings;
	for (const Column &column : columns_)
		headings.emplace_back(column.heading);
	return headings;
}

std::string Columns::heading() const
{
	return line(headings(), widths_);
}

void Columns::widen(const Cells &cells)
{
	for (std::size_t i = 0; i < cells.size(); i++)
		widths_[i] = std::max(widths_[i], cells[i].size());
}

void Columns::add(Cells cells)
{
	widen(cells);
	rows_.push_back(std::move(cells));
}

std::string Columns::line(const Cells &cells, const Widths &widths) const
{
	std::string line;
	for (std::size_t i = 0; i < cells.size(); i++) {
		if (!widths[i])
			continue;
		std::string cell = cells[i];
		cut(cell, widths[i]);
		const std::string space(widths[i] - cell.size(), ' ');
		line += columns_[i].align == left ? cell + space + " " : space + cell + " ";
	}
	if (!line.empty())
		line.pop_back();
	return line;
}

void Columns::leave_out_columns(Widths &widths, std::size_t width) const
{
	const auto is_too_wide = [&] {
		std::size_t sum = 0;
		for (std::size_t one : widths)
			sum += one ? one + 1 : 0;
		return sum > width + 1;
	};
	const auto leave_out = [&](int least_important) {
		for (int importance = 9; importance >= least_important; importance--)
			for (std::size_t i = 0; i < columns_.size() && is_too_wide(); i++)
				if (columns_[i].importance == importance)
					widths[i] = 0;
	};
	const auto cut_endpoints = [&](std::size_t shortest) {
		for (auto widest = std::ranges::max_element(widths); is_too_wide() && *widest > shortest;
		     widest = std::ranges::max_element(widths))
			--*widest;
	};
	leave_out(3);
	cut_endpoints(longest_ipv4);
	leave_out(2);
	cut_endpoints(shortest_cut);
	leave_out(1);
}

std::vector<std::string> Columns::lines(std::size_t width) const
{
	Widths widths = widths_;
	leave_out_columns(widths, width);
	std::vector<std::string> lines{line(headings(), widths)};
	for (const Cells &row : rows_)
		lines.push_back(line(row, widths));
	for (std::string &one : lines)
		one.resize(std::min(one.size(), width));
	return lines;
}

std::string sparkline(std::span<const std::uint64_t> counts, std::size_t width, bool utf8)
{
	static constexpr std::array<std::string_view, 8> blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static constexpr std::array<std::string_view, 8> letters{"_", ".", ":", "-", "=", "+", "*", "#"};
	counts = counts.last(std::min(width, counts.size()));
	const std::uint64_t most = counts.empty() ? 0 : std::ranges::max(counts);
	std::string line;
	for (std::uint64_t count : counts) {
		// The lowest bar means zero.
		const std::size_t height = count ? (count * 7 + most - 1) / most : 0;
		line += (utf8 ? blocks : letters)[height];
	}
	return line;
}

} // namespace tcpwin
