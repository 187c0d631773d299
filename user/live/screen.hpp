// SPDX-License-Identifier: Apache-2.0
// The terminal as a whole screen (ncurses). Whatever way the object goes, the terminal is what it was before.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "live/view.hpp"

namespace tcpwin {

class Screen {
public:
	// Error: standard input or output is no terminal, or of a type that cannot do it.
	static Result<Screen> open();
	Screen(Screen &&other) noexcept : terminal_(std::exchange(other.terminal_, nullptr)) {}
	Screen &operator=(Screen &&) = delete;
	~Screen();

	// A key of view.hpp that was pressed meanwhile; 0: one that means nothing.
	std::optional<int> key();
	// The terminal may have another size now.
	void resize();
	ScreenSize size() const;
	void show(const std::vector<ScreenLine> &lines);

private:
	explicit Screen(void *terminal) : terminal_(terminal) {}

	void *terminal_; // ncurses' SCREEN
};

// Whether the locale of the process writes UTF-8.
bool is_utf8_locale();

} // namespace tcpwin
