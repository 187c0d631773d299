// SPDX-License-Identifier: Apache-2.0
#include "live/view.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/printable.hpp"

namespace tcpwin {
namespace {

constexpr std::size_t lines_around = 5; // summary, bars, choices and heading above, keys below
constexpr std::size_t longest_history = 1000;

constexpr std::string_view help_text[] = {
	"tcpwin-agent top: flows that have not ended",
	"",
	"CLOSED   endpoint with a closed receive window; its peer is blocked",
	"STALLED  how long windows were closed, including an open stall",
	"LIMIT    what holds up the side that sends more, and its share: the receiver's window, the",
	"         network, or the sender's application",
	"ZEROWIN  segments that announced a closed window",
	"IDLE     time since the last packet",
	"?        not known: the agent uses --no-analysis",
	"",
	"p, Tab        flows, or peers (addresses that closed their window)",
	"s, >   <      next, previous sort key",
	"f, /          filter: part of ADDRESS:PORT; Enter keeps it, Esc clears it",
	"Space         pause, resume",
	"arrows, PgUp, PgDn, Home, End   scroll",
	"h, ?          this help; any key closes it",
	"q             quit",
};

std::string plural(std::uint64_t count, const char *one, const char *many)
{
	return fmt::format("{} {}", brief_count(count), count == 1 ? one : many);
}

// All names, or their number if they are too long.
std::string interfaces_text(const std::vector<std::string> &names, std::size_t width)
{
	if (names.empty())
		return "no agent";
	const std::string all = printable(fmt::format("{}", fmt::join(names, ",")));
	return all.size() <= width ? all : plural(names.size(), "interface", "interfaces");
}

std::string fit(std::string text, std::size_t width)
{
	text = printable(std::move(text));
	text.resize(std::min(text.size(), width));
	return text;
}

std::string per_second(double rate)
{
	return rate > 0 && rate < 1 ? fmt::format("{:.1f}", rate) :
				      brief_count(static_cast<std::uint64_t>(std::llround(rate)));
}

} // namespace

bool View::press(int key)
{
	if (typing_)
		return type(key);
	if (help_) {
		help_ = false;
		return key != 'q';
	}
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 's':
	case '>':
		next_sort(1);
		break;
	case '<':
	case 'S':
		next_sort(-1);
		break;
	case 'f':
	case '/':
		typing_ = true;
		break;
	case key::escape:
		filter_.clear();
		first_ = 0;
		break;
	case 'p':
	case '\t':
		show_peers_ = !show_peers_;
		first_ = 0;
		break;
	case ' ':
		paused_ = !paused_;
		break;
	case 'h':
	case '?':
		help_ = true;
		break;
	default:
		scroll_by(key);
		break;
	}
	return true;
}

void View::scroll_by(int key)
{
	switch (key) {
	case key::up:
		scroll(-1);
		break;
	case key::down:
		scroll(1);
		break;
	case key::page_up:
		scroll(-static_cast<std::ptrdiff_t>(page_));
		break;
	case key::page_down:
		scroll(static_cast<std::ptrdiff_t>(page_));
		break;
	case key::home:
		first_ = 0;
		break;
	case key::end:
		first_ = SIZE_MAX / 2; // draw() shows the last page then
		break;
	default:
		break;
	}
}

bool View::type(int key)
{
	first_ = 0;
	if (key == key::enter) {
		typing_ = false;
	} else if (key == key::escape) {
		filter_.clear();
		typing_ = false;
	} else if (key == key::backspace) {
		if (!filter_.empty())
			filter_.pop_back();
	} else if (key > ' ' && key <= '~') {
		filter_ += static_cast<char>(key);
	}
	return true;
}

void View::scroll(std::ptrdiff_t rows)
{
	const auto first = static_cast<std::ptrdiff_t>(first_) + rows;
	first_ = static_cast<std::size_t>(std::max<std::ptrdiff_t>(first, 0));
}

void View::next_sort(int step)
{
	const int count = static_cast<int>(sort_names.size());
	sort_ = static_cast<SortKey>((static_cast<int>(sort_) + step + count) % count);
	first_ = 0;
}

void View::note_stalled(std::uint64_t flows)
{
	if (stalled_.size() >= longest_history)
		stalled_.erase(stalled_.begin());
	stalled_.push_back(flows);
}

std::string View::summary(const Snapshot &snapshot, std::size_t width) const
{
	std::string text = fmt::format(": {}, {} stalled now", plural(snapshot.totals.flows, "flow", "flows"),
				       brief_count(snapshot.totals.stalled));
	if (snapshot.rates)
		text += fmt::format(", {} packets/s, {} zero windows/s", per_second(snapshot.rates->packets),
				    per_second(snapshot.rates->zero_windows));
	return interfaces_text(snapshot.interfaces, width - std::min(width, text.size())) + text;
}

std::string View::bars(std::size_t width) const
{
	const std::size_t shown = std::min(width, stalled_.size()); // the title takes some of it
	const std::uint64_t most = shown ? std::ranges::max(std::span(stalled_).last(shown)) : 0;
	const std::string title = fmt::format("stalled, at most {}: ", brief_count(most));
	return title.size() < width ? title + sparkline(stalled_, width - title.size(), utf8_) : fit(title, width);
}

std::string View::choices(std::size_t shown, std::size_t matching) const
{
	std::string text =
		fmt::format("{} by {}", show_peers_ ? "peers" : "flows", sort_names[static_cast<std::size_t>(sort_)]);
	if (shown < matching)
		text += fmt::format(", {} to {} of {}", first_ + 1, first_ + shown, matching);
	if (typing_ || !filter_.empty())
		text += fmt::format(", filter: {}{}", filter_, typing_ ? "_" : "");
	return paused_ ? text + ", paused" : text;
}

std::string View::keys() const
{
	if (typing_)
		return "type part of ADDRESS:PORT   Enter keep  Esc clear";
	return fmt::format("q quit  s sort  p {}  f filter  space {}  h help", show_peers_ ? "flows" : "peers",
			   paused_ ? "resume" : "pause");
}

void View::draw_rows(const Snapshot &snapshot, ScreenSize size, std::vector<ScreenLine> &lines)
{
	page_ = size.rows > lines_around ? size.rows - lines_around : 1;
	Columns columns = show_peers_ ? Columns::of_peers() :
					Columns::of_flows(Numbers::brief, snapshot.names, snapshot.programs);
	std::vector<bool> closed;
	std::size_t matching = 0;
	const auto show = [&](const auto &select, const auto &is_closed, const auto &at) {
		// Selects up to the last row shown. Past the end, shows the last page.
		auto selected = select(std::min(first_ + page_, snapshot.flows.size() * 2));
		matching = selected.matching;
		if (first_ + page_ > matching)
			first_ = matching > page_ ? matching - page_ : 0;
		for (std::size_t i = first_; i < std::min(first_ + page_, selected.best.size()); i++) {
			columns.add(at(selected.best[i]));
			closed.push_back(is_closed(at(selected.best[i])));
		}
	};
	if (show_peers_)
		show([&](std::size_t limit) { return select_peers(snapshot.flows, sort_, filter_, limit); },
		     [](const Peer &peer) { return peer.closed != 0; },
		     // NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter): peers outlive the call
		     [](const Peer &peer) -> const Peer & { return peer; });
	else
		show([&](std::size_t limit) { return select_flows(snapshot.flows, sort_, filter_, limit); },
		     [](const LiveFlow &flow) { return flow.stalled(); },
		     [&](std::uint32_t place) -> const LiveFlow & { return snapshot.flows[place]; });
	lines.push_back({fit(choices(closed.size(), matching), size.columns)});
	const std::vector<std::string> text = columns.lines(size.columns);
	lines.push_back({text[0] + std::string(size.columns - text[0].size(), ' '), ScreenLine::reverse});
	for (std::size_t i = 1; i < text.size(); i++)
		lines.push_back({text[i], closed[i - 1] ? ScreenLine::bold : ScreenLine::plain});
}

std::vector<ScreenLine> View::draw(const Snapshot &snapshot, ScreenSize size)
{
	std::vector<ScreenLine> lines;
	if (help_) {
		for (std::string_view text : help_text)
			lines.push_back({fit(std::string(text), size.columns)});
	} else {
		lines.push_back({fit(snapshot.trouble.empty() ? summary(snapshot, size.columns) : snapshot.trouble,
				     size.columns),
				 ScreenLine::bold});
		lines.push_back({bars(size.columns)});
		draw_rows(snapshot, size, lines);
		lines.resize(std::max<std::size_t>(size.rows, 1) - 1);
		lines.push_back({fit(keys(), size.columns)});
	}
	lines.resize(std::min(lines.size(), size.rows));
	return lines;
}

} // namespace tcpwin
