#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of `tcpwin-agent replay`, compared with a bare libpcap loop and the tools in Debian.

Everything runs on one core over the same files, which are in the page cache. Rates are packets per second of CPU time
(user and system), so that other work on the machine disturbs them little; wall time is given, too. The exit status says
whether the benchmark ran, not whether its goals were met.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import report
import tools
from measure import floor_mb, last_line, number_in, run, summarize, use_one_core

LIVE_FLOWS = 1_000_000
HASHED_FLOWS = 40_000
TIMEOUT = 60  # seconds per run
SLOW = 8  # seconds; a tool that takes longer runs once
HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Input:
    name: str
    what: str
    path: str
    packets: int


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.rows = []

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    # ---- inputs ----

    def make(self, name, what, *arguments):
        path = os.path.join(self.directory, name + ".pcap")
        self.say(f"making {name}")
        subprocess.run([self.options.generator, name, path, *arguments], check=True)
        os.sync()  # otherwise the file would be written to disk during the measurement
        return Input(name, what, path, self.count(path))

    def count(self, path):
        """Also loads the file into the page cache."""
        counted = subprocess.run([self.options.baseline, path], check=True, capture_output=True, text=True)
        return int(counted.stdout.split()[0])

    def inputs(self):
        captures = find_captures(self.options.captures)
        return [
            self.make("few", "100 concurrent connections, 64 to 128 bytes per packet"),
            self.make("mixed", f"{len(captures)} real captures, repeated with different hosts and merged by time", *captures),
            self.make("flows", "one SYN per flow, all flows alive at once", str(LIVE_FLOWS)),
        ]

    # ---- running ----

    def once(self, command, processed=lambda scratch: None):
        """Runs command(scratch directory). Returns the run, processed(scratch directory), and the last line of a failure."""
        scratch = tempfile.mkdtemp(dir=self.directory)
        try:
            result = run(command(scratch), scratch, TIMEOUT)
            if result.failed:
                return result, None, last_line(scratch)
            return result, processed(scratch), ""
        finally:
            shutil.rmtree(scratch)

    def add(self, source, tool, **fields):
        self.rows.append({"input": source.name, "tool": tool, "packets": source.packets, **fields})

    def add_failure(self, source, tool, result, reason):
        if result.timed_out:
            slow = source.packets / result.cpu
            reason = f"stopped after {TIMEOUT} s ({result.cpu:.0f} s of CPU): below {slow:,.0f} packets/s"
        else:
            reason = f"failed, status {result.status}, at {result.peak_mb:.0f} MB: {reason}"
        self.add(source, tool, failure=reason, peak_mb=result.peak_mb)

    # ---- comparisons ----

    def agent(self, source, *arguments):
        return [self.options.agent, "replay", source.path, "--output", os.devnull, *arguments]

    def compare_with_libpcap(self, source):
        """Runs both in turns, so that a change in machine speed affects both."""
        self.say(f"{source.name}: libpcap and tcpwin-agent")
        self.count(source.path)
        loops, agents = [], []
        for _ in range(self.options.runs):
            for runs, command in (loops, [self.options.baseline, source.path]), (agents, self.agent(source, "--quiet")):
                result, _, reason = self.once(lambda scratch: command)
                if result.failed:
                    raise RuntimeError(f"{' '.join(command)}: status {result.status}: {reason}")
                runs.append(result)
        _, processed, _ = self.once(lambda scratch: self.agent(source), agent_processed)
        self.add(source, report.LIBPCAP, **summarize(source.packets, loops), processed=source.packets)
        self.add(source, report.AGENT, **summarize(source.packets, agents), processed=processed)

    def collisions(self):
        """Replays as many flows whose keys collide in the flow table, and flows with random keys, in turns."""
        sources = [self.make(kind, "", str(HASHED_FLOWS)) for kind in ("colliding", "random")]
        seconds = {source.name: [] for source in sources}
        for _ in range(3):
            for source in sources:
                self.say(f"{source.name} keys: tcpwin-agent")
                result, _, reason = self.once(lambda scratch: self.agent(source, "--quiet"))
                if result.failed and not result.timed_out:
                    raise RuntimeError(f"replay of {source.name} keys: status {result.status}: {reason}")
                seconds[source.name].append(result.cpu)
        return {"flows": HASHED_FLOWS, **{name: statistics.median(values) for name, values in seconds.items()}}

    def kernel_engine(self, source):
        self.say(f"{source.name}: kernel engine")
        if os.geteuid() != 0:
            self.add(source, report.KERNEL, failure="needs root")
            return
        result, _, reason = self.once(lambda scratch: self.agent(source, "--quiet", "--engine", "kernel"))
        if result.failed:
            self.add_failure(source, report.KERNEL, result, reason)
        else:
            self.add(source, report.KERNEL, **summarize(source.packets, [result]))

    def tool(self, source, tool):
        self.say(f"{source.name}: {tool.name}")
        self.count(source.path)
        runs, processed = [], None
        program = tools.find(tool.name)
        while len(runs) < 3 and not (runs and runs[0].wall > SLOW):
            result, processed, reason = self.once(
                lambda scratch: [program, *tool.command(source.path, scratch)[1:]], tool.processed)
            if result.failed:
                self.add_failure(source, tool.name, result, reason)
                return
            runs.append(result)
        self.add(source, tool.name, **summarize(source.packets, runs), processed=processed)

    def other_tools(self, sources, others, reason):
        for source in sources:
            for tool in others:
                if tools.find(tool.name):
                    self.tool(source, tool)
                else:
                    self.add(source, tool.name, failure=f"not installed: {reason or 'not in its packages'}")


def agent_processed(scratch):
    return number_in(scratch, r"^Packets seen: (\d+)")


def find_captures(directory):
    """The captures of real traffic; the subdirectories hold artificial ones."""
    real = os.path.join(directory, "real")
    folder = os.path.abspath(real if os.path.isdir(real) else directory)
    found = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".pcap", ".pcapng")))
    if not found:
        raise RuntimeError(f"no captures in {directory}")
    return found


def install_missing(options, others):
    """Installs the missing tools. Returns the reason if that is not possible."""
    packages = tools.missing_packages(others)
    if not packages:
        return ""
    if options.no_install:
        return "--no-install was given: " + " ".join(packages)
    print("installing " + " ".join(packages), file=sys.stderr, flush=True)
    return tools.install(packages)


def measure(options, directory):
    others = tools.all_tools(tools.DeafCollector())
    reason = install_missing(options, others)
    bench = Bench(options, directory)
    core = use_one_core()
    sources = bench.inputs()
    for source in sources:
        bench.compare_with_libpcap(source)
    for source in sources[:2]:
        bench.kernel_engine(source)
    bench.other_tools(sources, others, reason)
    collisions = bench.collisions()
    return {
        "machine": report.machine(core),
        "floor_mb": floor_mb(),
        "inputs": [{"name": source.name, "what": source.what, "packets": source.packets,
                    "bytes": os.path.getsize(source.path)} for source in sources],
        "tools": [{"name": tool.name, "version": tools.package_version(tool), "evidence": tool.evidence,
                   "command": " ".join(tool.command("FILE", "DIR"))} for tool in others],
        "rows": bench.rows,
        "collisions": collisions,
    }


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", required=True, help="tcpwin-agent")
    parser.add_argument("--baseline", required=True, help="the bare libpcap loop")
    parser.add_argument("--generator", required=True, help="the generator of the inputs")
    parser.add_argument("--captures", default=os.path.join(HERE, "..", "captures"), help="directory of real captures")
    parser.add_argument("--runs", type=int, default=9, help="runs of libpcap and of the agent each (default: %(default)s)")
    parser.add_argument("--no-install", action="store_true", help="use only tools that are installed")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    for name in "agent", "baseline", "generator":
        setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


def main():
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="tcpwin-bench-") as directory:
        result = measure(options, directory)
    result["goals"] = report.goals(result["rows"])
    print(report.text(result))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench: {error}")
