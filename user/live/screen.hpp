// SPDX-License-Identifier: Apache-2.0
// A full-screen terminal (ncurses). The destructor restores the terminal.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "live/view.hpp"

namespace tcpwin {

class Screen {
public:
	// Error: standard input or output is not a terminal, or its type cannot place the cursor.
	static Result<Screen> open();
	Screen(Screen &&other) noexcept : terminal_(std::exchange(other.terminal_, nullptr)) {}
	Screen &operator=(Screen &&) = delete;
	~Screen();

	// A pressed key, as in view.hpp; 0: a key without meaning. Nothing: no key was pressed.
	std::optional<int> key();
	// Adapts to the current size of the terminal.
	void resize();
	ScreenSize size() const;
	void show(const std::vector<ScreenLine> &lines);

private:
	explicit Screen(void *terminal) : terminal_(terminal) {}

	void *terminal_; // ncurses' SCREEN
};

// Whether the locale of the process uses UTF-8.
bool is_utf8_locale();

} // namespace tcpwin
