# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a pseudo-terminal and reads its screen."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from network import TIMEOUT

try:
    import pyte
except ImportError:
    pyte = None

ESC, UP, DOWN, PAGE_DOWN = b"\x1b", b"\x1bOA", b"\x1bOB", b"\x1b[6~"


if pyte:
    class Screen(pyte.Screen):
        """Adds the sequences that xterm has and pyte lacks."""

        def scroll_up(self, count=1):
            self._at_margin("bottom", self.index, count)

        def scroll_down(self, count=1):
            self._at_margin("top", self.reverse_index, count)

        def _at_margin(self, edge, move, count):
            row = self.cursor.y
            margins = self.margins or pyte.screens.Margins(0, self.lines - 1)
            self.cursor.y = getattr(margins, edge)
            for _ in range(count or 1):
                move()
            self.cursor.y = row

        def draw(self, data):
            super().draw(data)
            self.last_drawn = data[-1:]

        def repeat(self, count=1):
            self.draw(self.last_drawn * (count or 1))

    class Stream(pyte.ByteStream):
        csi = pyte.ByteStream.csi | {"S": "scroll_up", "T": "scroll_down", "b": "repeat"}
        events = pyte.ByteStream.events | {"scroll_up", "scroll_down", "repeat"}


class Terminal:
    def __init__(self, command, rows=24, columns=80, environment=None):
        assert pyte, "python3-pyte is not installed: make deps installs it"
        self.master, self.slave = pty.openpty()
        self.output = b""
        self.screen = Screen(columns, rows)
        self.stream = Stream(self.screen)
        self._set_size(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | (environment or {}))

    def _set_size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        """The kernel notifies the program (SIGWINCH). The screen is cleared: the program has to redraw all of it."""
        self.read()
        self.screen.resize(rows, columns)
        self.screen.erase_in_display(2)
        self._set_size(rows, columns)

    def read(self, seconds=0.0):
        """Reads what the program has written; waits up to `seconds` for the first byte."""
        while select.select([self.master], [], [], seconds)[0]:
            new = os.read(self.master, 65536)
            self.output += new
            self.stream.feed(new)
            seconds = 0

    def lines(self):
        self.read()
        return [line.rstrip() for line in self.screen.display]

    def wait_for(self, condition):
        """Waits until the condition holds for the lines on the screen, and returns them.

        A redraw arrives in parts: what has to be visible at the same time must be one condition, which may raise
        LookupError or ValueError on a partial screen.
        """
        def holds(lines):
            try:
                return condition(lines)
            except (LookupError, ValueError):
                return False

        end = time.monotonic() + TIMEOUT
        while not holds(lines := self.lines()):
            assert time.monotonic() < end and self.process.poll() is None, "\n".join(lines)
            self.read(0.05)
        return lines

    def wait_for_text(self, pattern):
        return self.wait_for(lambda lines: any(re.search(pattern, line) for line in lines))

    def press(self, keys):
        os.write(self.master, keys)

    def wait_end(self):
        """Waits for the exit and returns the exit code."""
        end = time.monotonic() + TIMEOUT
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0.05)
        return self.process.wait(1)

    def is_restored(self):
        """Whether the terminal modes, the main screen and the cursor are restored."""
        def last(on, off):
            return self.output.rfind(on) > self.output.rfind(off)
        return (termios.tcgetattr(self.slave) == self.modes and last(b"\x1b[?1049l", b"\x1b[?1049h") and
                last(b"\x1b[?25h", b"\x1b[?25l") and last(b"\x1b[?1l", b"\x1b[?1h"))

    def hang_up(self):
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self.master >= 0:
            self.hang_up()
