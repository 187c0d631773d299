// SPDX-License-Identifier: Apache-2.0
// The content and keys of top. Pure: the terminal is user/live/screen.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "live/columns.hpp"
#include "live/selection.hpp"

namespace tcpwin {

// Characters stand for themselves. The other keys:
namespace key {
constexpr int escape = 27, up = 1000, down = 1001, page_up = 1002, page_down = 1003, home = 1004, end = 1005,
	      backspace = 1006, enter = 1007;
}

// One reading of the tables.
struct Snapshot {
	std::vector<LiveFlow> flows;
	LiveTotals totals;
	std::optional<Rates::PerSecond> rates;
	std::vector<std::string> interfaces;
	InterfaceNames names;
	ProgramsOf programs = [](const LiveFlow &) { return std::string(); };
	std::string trouble; // why there is no newer reading, or empty
};

struct ScreenSize {
	std::size_t rows;
	std::size_t columns;
};

struct ScreenLine {
	enum Style { plain, bold, reverse };
	std::string text; // UTF-8, not wider than the screen
	Style style = plain;
};

class View {
public:
	View(SortKey sort, std::string filter, bool utf8) : sort_(sort), filter_(std::move(filter)), utf8_(utf8) {}

	// false: the user quits.
	bool press(int key);
	bool paused() const { return paused_; }

	// Called at each refresh, for the row of bars.
	void note_stalled(std::uint64_t flows);

	// At most size.rows lines.
	std::vector<ScreenLine> draw(const Snapshot &snapshot, ScreenSize size);

private:
	bool type(int key);
	void scroll_by(int key);
	void scroll(std::ptrdiff_t rows);
	void next_sort(int step);
	std::string summary(const Snapshot &snapshot, std::size_t width) const;
	std::string bars(std::size_t width) const;
	std::string choices(std::size_t shown, std::size_t matching) const;
	std::string keys() const;
	void draw_rows(const Snapshot &snapshot, ScreenSize size, std::vector<ScreenLine> &lines);

	SortKey sort_;
	std::string filter_;
	bool utf8_;
	bool show_peers_ = false;
	bool paused_ = false;
	bool typing_ = false; // the filter
	bool help_ = false;
	std::size_t first_ = 0; // first row shown
	std::size_t page_ = 1;  // rows per page
	std::vector<std::uint64_t> stalled_;
};

} // namespace tcpwin
