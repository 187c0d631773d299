# SPDX-License-Identifier: Apache-2.0
"""Starts tcpwin-agent in a namespace, stops it, and reads its output."""
import dataclasses
import os
import pathlib
import re
import signal
import subprocess

from lines import parse_lines, validate_lines
from network import TIMEOUT, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TCPWIN_AGENT", str(REPOSITORY / "build" / "tcpwin-agent"))

# Options that attach to each kind of hook.
HOOKS = {"native": ("--mode", "native"), "generic": ("--mode", "generic"),
         "tcx": ("--mode", "tc", "--tc-hook", "tcx"), "clsact": ("--mode", "tc", "--tc-hook", "clsact")}

# setpriv: users without the capabilities of root.
USER, NOBODY = 1000, 65534
CAPABILITIES = ("bpf", "net_admin", "perfmon")


def become(user, capabilities=None):
    """The command prefix that switches from root to `user` with these capabilities. None: the sets are left alone."""
    words = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
    if capabilities is not None:
        kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
        words += [f"--bounding-set={kept}", f"--inh-caps={kept}", f"--ambient-caps={kept}"]
    return words


def status_of(pid):
    """/proc/PID/status as {name: value}; empty if there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, value in (line.split(":", 1) for line in text.splitlines())}


def helpers_of(agent):
    """The agent's children: {name: process ID}"""
    statuses = {entry.name: status_of(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()}
    return {status["Name"]: int(pid) for pid, status in statuses.items() if status.get("PPid") == str(agent.process.pid)}


def wait_confined(agent):
    """Waits until the last privilege is dropped, which happens after the interface was attached."""
    assert wait_until(lambda: status_of(agent.process.pid)["Seccomp"] == "2"), "no seccomp filter"
    return agent


def parse_report(stderr):
    """The end report as {name: number}. Only this function knows the wording of the report.

    Rejected and lost packets carry the name of their counter: "rejected not_ip", "lost untracked_full".
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
    """The record without its times and durations, and without the fields in `more`."""
    aside = ("start", "end", "start_ns", "end_ns", "duration", *more)
    kept = {name: value for name, value in record.items() if name not in aside}
    for side in ("a", "b"):
        if kept[side]:
            kept[side] = {name: value for name, value in kept[side].items() if name not in ("first_ns", "last_ns", "limits")}
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
        """Packets that are in no record, by the counter that gives the reason."""
        return {name: value for name, value in self.report.items() if name.startswith(("rejected ", "lost "))}


class Written:
    """Validates the JSON lines that one run of the agent writes to the outputs that its command line names.

    A pipe or terminal of the test is not covered: its reader calls parse_lines.
    """

    def __init__(self, arguments):
        words = [str(word) for word in arguments]
        command = words[0] if words else ""
        json_format = "t2" not in words and not {"--help", "-h", "--version"} & set(words)
        self.to_stdout = json_format and (command in ("attach", "replay", "detach") or "--json" in words)
        named = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-o", "--output", "--packets", "--summary")]
        self.files = {path: self.content(path) for path in named if json_format and path != "-"}

    @staticmethod
    def content(path):
        """Empty for anything but a regular file, such as /dev/full."""
        return pathlib.Path(path).read_text() if os.path.isfile(path) else ""

    def validate(self, stdout, whole):
        if self.to_stdout:
            validate_lines(stdout, whole)
        for path, before in self.files.items():
            lines_before = before[:before.rfind("\n") + 1]  # the next agent removes an incomplete last line
            validate_lines(self.content(path).removeprefix(lines_before), whole)


class Agent:
    """A running `tcpwin-agent attach`. Its standard output and error go to files in `directory`."""

    def __init__(self, namespace, *arguments, directory, stdout=None, prefix=(), binary=BINARY):
        self.out, self.err = directory / "stdout", directory / "stderr"
        self.written = Written(("attach", *arguments))
        command = namespace.inside(*prefix, binary, "attach", *arguments)
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=err)

    def stderr(self):
        return self.err.read_text(errors="replace")

    def wait_attached(self, *devices, timeout=TIMEOUT):
        """Waits for "attached to DEVICE in MODE mode"; a failure shows what the agent printed."""
        def attached():
            return all(f"attached to {device} " in self.stderr() for device in devices)
        wait_until(lambda: attached() or self.process.poll() is not None, timeout)
        assert attached(), f"not attached to {devices}, exit {self.process.poll()}: {self.stderr()}"
        return self

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout=TIMEOUT):
        """Waits until the agent exits by itself."""
        exit_code = self.process.wait(timeout)
        return Outcome(exit_code, self.out.read_text(), self.stderr())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def validate(self):
        """Checks every line that it wrote; call it after the exit."""
        self.written.validate(self.out.read_text(), whole=self.process.returncode == 0)


def run_agent(*arguments, prefix=(), timeout=TIMEOUT, binary=BINARY):
    """Runs the agent until it exits by itself."""
    written = Written(arguments)
    done = subprocess.run([*prefix, binary, *map(str, arguments)], stdin=subprocess.DEVNULL, timeout=timeout,
                          capture_output=True, text=True)
    written.validate(done.stdout, whole=done.returncode == 0)
    return Outcome(done.returncode, done.stdout, done.stderr)
