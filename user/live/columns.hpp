// SPDX-License-Identifier: Apache-2.0
// Flows and peers as aligned columns of text, and a row of bars. Pure: no terminal.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "live/flow.hpp"
#include "live/selection.hpp"

namespace tcpwin {

// "999", "12.3k", "4.5M": at most five characters below 10^18.
std::string brief_count(std::uint64_t count);
// "<1us", "35ms", "1.2s", "12m05s", "3h12m", "5d03h"; "-" for none.
std::string brief_time(std::uint64_t nanoseconds);

enum class Numbers { exact, brief };

// By interface index.
using InterfaceNames = std::map<unsigned, std::string>;

// The programs of this host that the sides of a flow belong to.
using ProgramsOf = std::function<std::string(const LiveFlow &)>;

// Columns are as wide as the widest cell measured or added.
class Columns {
public:
	static Columns of_flows(Numbers numbers, const InterfaceNames &names, ProgramsOf programs);
	static Columns of_peers();

	// For lists that are too long to be kept as text.
	void measure(const LiveFlow &flow) { widen(cells(flow)); }
	std::string heading() const;
	std::string line(const LiveFlow &flow) const { return line(cells(flow), widths_); }

	// For a screen: the heading and the rows added, at most width columns wide. The least important columns are left out
	// until the rest fits; endpoints are shortened before important columns are left out.
	void add(const LiveFlow &flow) { add(cells(flow)); }
	void add(const Peer &peer) { add(cells(peer)); }
	std::vector<std::string> lines(std::size_t width) const;

private:
	enum Align { left, right };
	struct Column {
		std::string_view heading;
		Align align;
		int importance; // 0: never left out
	};
	using Cells = std::vector<std::string>;
	using Widths = std::vector<std::size_t>; // 0: left out

	explicit Columns(std::vector<Column> columns);
	Cells cells(const LiveFlow &flow) const;
	Cells cells(const Peer &peer) const;
	Cells headings() const;
	void widen(const Cells &cells);
	void add(Cells cells);
	void leave_out_columns(Widths &widths, std::size_t width) const;
	std::string line(const Cells &cells, const Widths &widths) const;

	Numbers numbers_ = Numbers::brief;
	InterfaceNames names_;
	ProgramsOf programs_;
	std::vector<Column> columns_;
	Widths widths_;
	std::vector<Cells> rows_;
};

// One character per count, for the last counts that fit. The highest bar is the largest of them.
std::string sparkline(std::span<const std::uint64_t> counts, std::size_t width, bool utf8);

} // namespace tcpwin
