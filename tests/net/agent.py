# SPDX-License-Identifier: Apache-2.0
"""Starts tcpwin-agent in a namespace, stops it, and reads what it wrote."""
import dataclasses
import os
import pathlib
import re
import signal
import subprocess

from lines import parse_lines, validate_lines
from network import wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TCPWIN_AGENT", str(REPOSITORY / "build" / "tcpwin-agent"))

# A signal is answered within milliseconds; the rest is for a machine under load.
STOP_TIMEOUT = 20


def parse_report(stderr):
    """The end report as {name: number}: the one place that knows its wording.

    Rejected packets and losses carry their counter's name: "rejected not_ip", "lost untracked_full".
    """
    report = {}
    for line in stderr.splitlines():
        if found := re.fullmatch(r"Aggregated (tcpWinStat|tcpWinState)=(0x[0-9a-f]{2})", line):
            report[found[1]] = int(found[2], 16)
        elif found := re.match(r"Number of TCP packets below window threshold (\d+): (\d+) \[([0-9.]+)%\]$", line):
            report["threshold"], report["below threshold"] = int(found[1]), int(found[2])
            report["below threshold percent"] = float(found[3])
        elif found := re.fullmatch(r"([A-Z][A-Za-z_ ]*?)(?: \([^)]*\))?: (\d+)(?: \[[0-9.]+%\])?", line):
            report[found[1].lower()] = int(found[2])
    return report


def error_sentences(stderr):
    return [line for line in stderr.splitlines() if line.startswith("tcpwin-agent: error: ")]


def without_times(record, *more):
    """All of a record but when, and but more fields."""
    aside = ("start", "end", "start_ns", "end_ns", "duration", *more)
    kept = {name: value for name, value in record.items() if name not in aside}
    for side in ("a", "b"):
        if kept[side]:
            kept[side] = {name: value for name, value in kept[side].items() if name not in ("first_ns", "last_ns")}
            for group, names in (("stall", ("total", "longest", "last_began_ns")), ("tcp", ("handshake_rtt",))):
                kept[side][group] = {name: value for name, value in kept[side][group].items() if name not in names}
    return kept


def sides(records):
    """Every direction of every record."""
    return [side for record in records for side in (record["a"], record["b"]) if side]


@dataclasses.dataclass
class Outcome:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def records(self):
        return parse_lines(self.stdout)

    @property
    def report(self):
        return parse_report(self.stderr)

    @property
    def errors(self):
        return error_sentences(self.stderr)

    def packets_in_records(self):
        return sum(side["packets"] for side in sides(self.records))

    def packets_elsewhere(self):
        """Packets that are in no record, by the name of the counter that says why."""
        return {name: value for name, value in self.report.items() if name.startswith(("rejected ", "lost "))}


class Written:
    """What one run of the agent writes as JSON, by its command line: validated, wherever it goes.

    Not what goes into a pipe or terminal of the test's: who reads that calls parse_lines.
    """

    def __init__(self, arguments):
        words = [str(word) for word in arguments]
        command = words[0] if words else ""
        json_format = "t2" not in words and not {"--help", "-h", "--version"} & set(words)
        self.to_stdout = json_format and (command in ("attach", "replay", "detach") or "--json" in words)
        named = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-o", "--output", "--packets")]
        self.files = {path: self.content(path) for path in named if json_format and path != "-"}

    @staticmethod
    def content(path):
        """Nothing of what is no file, as /dev/full."""
        return pathlib.Path(path).read_text() if os.path.isfile(path) else ""

    def validate(self, stdout, whole):
        if self.to_stdout:
            validate_lines(stdout, whole)
        for path, before in self.files.items():
            lines_before = before[:before.rfind("\n") + 1]  # a part of a line is removed by who goes on
            validate_lines(self.content(path).removeprefix(lines_before), whole)


class Agent:
    """`tcpwin-agent attach`, running. Standard output and error go to files of `directory`."""

    def __init__(self, namespace, *arguments, directory, stdout=None, prefix=(), binary=BINARY):
        self.out, self.err = directory / "stdout", directory / "stderr"
        self.written = Written(("attach", *arguments))
        command = namespace.inside(*prefix, binary, "attach", *arguments)
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=err)

    def stderr(self):
        return self.err.read_text(errors="replace")

    def wait_attached(self, *devices, timeout=30):
        """Waits for "attached to DEVICE in MODE mode"; fails with what the agent said instead."""
        def attached():
            return all(f"attached to {device} " in self.stderr() for device in devices)
        wait_until(lambda: attached() or self.process.poll() is not None, timeout)
        assert attached(), f"not attached to {devices}, exit {self.process.poll()}: {self.stderr()}"
        return self

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout=STOP_TIMEOUT):
        """Waits for the agent's own end."""
        exit_code = self.process.wait(timeout)
        return Outcome(exit_code, self.out.read_text(), self.stderr())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def validate(self):
        """Every line that it wrote, once it has ended."""
        self.written.validate(self.out.read_text(), whole=self.process.returncode == 0)


def run_agent(*arguments, prefix=(), timeout=STOP_TIMEOUT, binary=BINARY):
    """Runs the agent until it ends by itself."""
    written = Written(arguments)
    done = subprocess.run([*prefix, binary, *map(str, arguments)], stdin=subprocess.DEVNULL, timeout=timeout,
                          capture_output=True, text=True)
    written.validate(done.stdout, whole=done.returncode == 0)
    return Outcome(done.returncode, done.stdout, done.stderr)
