// SPDX-License-Identifier: Apache-2.0
#include "live/screen.hpp"

#include <clocale>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NCURSES_NOMACROS // its macros have names like erase and timeout
#include <curses.h>

namespace tcpwin {
namespace {

constexpr int escape_delay = 50; // ms within which the rest of an arrow key's sequence must arrive

// newterm also accepts terminals that cannot place the cursor.
bool can_show()
{
	const char *place_cursor = tigetstr("cup");
	return place_cursor && place_cursor != reinterpret_cast<const char *>(-1);
}

tl::unexpected<Error> cannot_show(const std::string &why)
{
	return fail("cannot show a full screen", why, "'tcpwin-agent flows' lists the same as text");
}

int as_key(int code)
{
	switch (code) {
	case KEY_UP:
		return key::up;
	case KEY_DOWN:
		return key::down;
	case KEY_PPAGE:
		return key::page_up;
	case KEY_NPAGE:
		return key::page_down;
	case KEY_HOME:
		return key::home;
	case KEY_END:
		return key::end;
	case KEY_BACKSPACE:
	case 127:
	case '\b':
		return key::backspace;
	case KEY_ENTER:
	case '\r':
	case '\n':
		return key::enter;
	default:
		return code < 256 ? code : 0;
	}
}

attr_t attributes(ScreenLine::Style style)
{
	return style == ScreenLine::bold ? A_BOLD : style == ScreenLine::reverse ? A_REVERSE : A_NORMAL;
}

} // namespace

bool is_utf8_locale()
{
	std::setlocale(LC_CTYPE, "");
	return std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

Result<Screen> Screen::open()
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cannot_show("standard input and output must be a terminal");
	std::setlocale(LC_CTYPE, "");
	set_escdelay(escape_delay);
	Screen screen(newterm(nullptr, stdout, stdin));
	if (!screen.terminal_ || !can_show()) {
		const char *type = std::getenv("TERM");
		return cannot_show(fmt::format("the terminal type '{}' (TERM) is not known or cannot place the cursor",
					       type ? type : ""));
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	return screen;
}

Screen::~Screen()
{
	if (!terminal_)
		return;
	endwin();
	delscreen(static_cast<SCREEN *>(terminal_));
}

std::optional<int> Screen::key()
{
	const int code = wgetch(stdscr);
	if (code == ERR)
		return std::nullopt;
	return as_key(code);
}

void Screen::resize()
{
	winsize window{};
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row && window.ws_col)
		resizeterm(window.ws_row, window.ws_col);
}

ScreenSize Screen::size() const
{
	return {static_cast<std::size_t>(getmaxy(stdscr)), static_cast<std::size_t>(getmaxx(stdscr))};
}

void Screen::show(const std::vector<ScreenLine> &lines)
{
	werase(stdscr);
	for (int row = 0; row < static_cast<int>(lines.size()); row++) {
		const ScreenLine &line = lines[static_cast<std::size_t>(row)];
		wattrset(stdscr, static_cast<int>(attributes(line.style)));
		mvwaddstr(stdscr, row, 0, line.text.c_str());
	}
	wattrset(stdscr, A_NORMAL);
	wrefresh(stdscr);
}

} // namespace tcpwin
