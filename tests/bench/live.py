#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The cost of watching: per packet in the kernel, per sweep, per record, per transfer, and of the agent itself.

Every figure is the median over alternating rounds, followed by the [quartiles]; ratios are computed per round. The exit
status says whether the benchmark ran, not whether its goals were met. Needs root; uses private network namespaces.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import report
from network import Agent, Pair, run

IDLE_FLOWS = 1_000_000
IDLE_SECONDS = 10
IPERF_SECONDS = 3
NOTHING = "no agent"
WATCHERS = {
    NOTHING: None,
    "agent, tc": ["--mode", "tc"],
    "empty program, generic": "xdpgeneric",
    "agent, generic": ["--mode", "generic"],
    "empty program, native": "xdpdrv",
    "agent, native": ["--mode", "native"],
}
COMPARED = {
    "agent, tc": [NOTHING],
    "agent, generic": [NOTHING, "empty program, generic"],
    "agent, native": [NOTHING, "empty program, native"],
}


def spread(values):
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "low": ordered[len(ordered) // 4],
            "high": ordered[3 * len(ordered) // 4], "rounds": len(ordered)}


class Bench:
    def __init__(self, options):
        self.options = options
        self.rows = []

    def program(self, name, *arguments):
        return os.path.join(self.options.programs, name), *map(str, arguments)

    def ask(self, *command):
        print("running " + os.path.basename(command[0]), file=sys.stderr, flush=True)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def add(self, what, values, unit, limit, goal=None, met=None):
        """met: function of the median"""
        figures = spread(values)
        self.rows.append({"what": what, "unit": unit, **figures, "goal": goal or "",
                          "met": met(figures["median"]) if met else None, "limit": limit})

    # ---- in the kernel, by test runs ----

    def packet_cost(self):
        found = self.ask(*self.program("packet_cost", self.options.rounds))
        ns = found["ns"]

        def over(name, base):
            return [one - other for one, other in zip(ns[name], ns[base])]

        def ratio(names, bases):
            return [one / other for one, other in zip(names, bases)]

        def at_most(bound):
            return lambda median: median <= bound

        floor, whole = over("floor", "empty"), over("whole", "empty")
        many_floor, many_whole = over("many_floor", "many_empty"), over("many_whole", "many_empty")
        self.add("empty program", ns["empty"], "ns", "the loop of the test run; subtracted below")
        self.add("parse", over("parse", "empty"), "ns", "branches")
        self.add("floor: parse, clock, lookup; one flow", floor, "ns", "reading the clock; hash of 40 bytes")
        self.add("whole program; one flow", whole, "ns", "the floor, and the atomic that locks the flow")
        self.add("whole / floor; one flow", ratio(whole, floor), "", "", "<= 1.3", at_most(1.3))
        self.add("floor; 1 M flows at random", many_floor, "ns", "successive cache and TLB misses")
        self.add("whole program; 1 M flows at random", many_whole, "ns", "the same")
        self.add("whole / floor; 1 M flows", ratio(many_whole, many_floor), "", "", "<= 1.3", at_most(1.3))
        plain, many_plain = over("plain", "empty"), over("many_plain", "many_empty")
        self.add("stall analysis; one flow", ratio(whole, plain), "", "whole program with / without it",
                 "<= 1.15", at_most(1.15))
        self.add("stall analysis; 1 M flows", ratio(many_whole, many_plain), "", "the same")
        self.add("new flow", over("new", "new_empty"), "ns", "the table's insertion: lock, free list, cold lines")
        evict, new = over("evict", "new_empty"), over("new", "new_empty")
        self.add("flow of a flood, in a full table", evict, "ns", "the same, and the eviction of another: its lookup and record")
        self.add("flow of a flood / new flow", ratio(evict, new), "", "", "<= 1.5", at_most(1.5))
        self.add("the same without a record", ratio(over("evict_unrecorded", "new_empty"), new), "",
                 "half of the ring buffer is full")
        self.add("cut: record, and a new flow in place", over("cut", "empty"), "ns", "the ring buffer's lock and wake-up")
        self.add("cache lines of a lookup", [found["lines_floor"]], "", "computed: bucket, links, key")
        self.add("cache lines of a packet", [found["lines_whole"]], "", "computed: the same, and the flow")
        self.add("kernel memory per flow", [found["bytes_a_flow"]], "bytes",
                 "as accounted by the kernel; allocated at the start")
        self.add("sweep of 1 M live flows, per flow", ns["sweep"], "ns",
                 "cache misses: entries are not in the order of buckets", "<= 110", at_most(110))

    # ---- with packets ----

    def throughput(self):
        found = self.ask(*self.program("live_cost", self.options.rounds))
        rate = {name: [1e3 / one for one in values] for name, values in found["ns"].items()}
        self.add("live frames into an empty program", rate["empty"], "M/s", "generator and veth, on the same core")
        self.add("live frames into the whole program", rate["whole"], "M/s", "the same plus the program; 1000 flows")
        self.add("whole / empty", [one / other for one, other in zip(rate["whole"], rate["empty"])], "", "",
                 ">= 0.75", lambda median: median >= 0.75)
        self.add("of these packets accounted for", [100 * found["counted"] / found["entered"]], "%", "",
                 "100", lambda median: found["counted"] == found["entered"])

    def stall(self):
        with Pair() as pair:
            last = max(os.sched_getaffinity(0))
            run(*pair.within(pair.watched, "sh", "-c",
                             f"echo {1 << last:x} > /sys/class/net/watched0/queues/rx-0/rps_cpus"))
            # Both ends in one namespace, so that one process can send at one and attach to the other.
            run("ip", "-n", pair.peer, "link", "set", "peer0", "netns", pair.watched)
            run("ip", "-n", pair.watched, "link", "set", "peer0", "up")
            found = self.ask(*pair.within(pair.watched, *self.program("stall", "peer0", "watched0")))
        for state, text in ("idle", "CPU idle"), ("sweep", "CPU sweeps continuously"):
            for which, name in ("median", "median"), ("most", "99 %"), ("largest", "largest"):
                wanted = ("< 1000", lambda median: median < 1000) if (state, which) == ("sweep", "largest") else (None, None)
                self.add(f"latency of a packet to the program, {text}: {name}",
                         [one[which] / 1e3 for one in found["ns"][state]], "us",
                         "interrupt of another CPU; scheduling of the virtual machine by its host", *wanted)

    def records(self, directory):
        found = self.ask(*self.program("record_cost", os.path.join(directory, "records.json"), self.options.rounds))
        self.add("records from ring buffer to JSON in a file", [1e3 / one for one in found["ns"]["record"]], "M/s per core",
                 "a line of 1.8 kB: half is formatting, half the copy into the page cache", ">= 1", lambda median: median >= 1)

    # ---- the agent ----

    def send(self, pair, flows):
        run(*pair.within(pair.peer, self.options.sender, "--device", "peer0", "--packets", flows, "--flows", flows,
                         "--frame-length", 54))

    def idle_agent(self):
        cpu, memory, attach, detach = [], [], [], []
        for _ in range(3):
            with Pair() as pair:
                agent = Agent(self.options.agent, pair, "--max-flows", IDLE_FLOWS + 1000, "--output", "/dev/null",
                              *(word for kind in ("new", "bgn", "est") for word in (f"--timeout-{kind}", "1h")))
                self.send(pair, IDLE_FLOWS)
                time.sleep(1)
                before = agent.cpu_seconds()
                time.sleep(IDLE_SECONDS)
                cpu.append(100 * (agent.cpu_seconds() - before) / IDLE_SECONDS)
                agent.stop()
            with Pair() as pair:
                agent = Agent(self.options.agent, pair, "--max-flows", IDLE_FLOWS + 1000, "--output", "/dev/null")
                self.send(pair, IDLE_FLOWS)
                time.sleep(4)
                memory.append(agent.peak_mb())
                agent.stop()
            for _ in range(3):
                with Pair() as pair:
                    agent = Agent(self.options.agent, pair, "--output", "/dev/null")
                    attach.append(1e3 * agent.attach_seconds)
                    detach.append(1e3 * agent.stop())
        self.add("CPU of the agent, 1 M idle flows, default interval", cpu, "%", "ten checks per second whether a sweep is due",
                 "< 2", lambda median: median < 2)
        self.add("peak memory of the agent, 1 M ended flows", memory, "MB", "the ring buffer, mapped twice, and libraries",
                 "< 64", lambda median: median < 64)
        self.add("from start to attached", attach, "ms", "the verifier")
        self.add("from SIGTERM to exit", detach, "ms", "grace periods of the kernel")

    def latency(self):
        """From the expiry of a flow to its line, as seen by the reader of a pipe"""
        late = []
        with Pair() as pair:
            agent = Agent(self.options.agent, pair)
            for _ in range(self.options.rounds):
                self.send(pair, 1)
                line = agent.process.stdout.readline()
                read = time.time_ns()
                flow = json.loads(line)
                late.append((read - flow["end_ns"] - 1e9 * flow["a"]["timeout"]) / 1e6)
            agent.stop()
        self.add("from the expiry of a flow to its line", late, "ms", "the poll interval, 100 ms")

    # ---- transfers ----

    def iperf(self, pair, reverse):
        """(Gbit/s, average number of busy cores)"""
        server = subprocess.Popen(pair.within(pair.watched, "iperf3", "-s", "-1", "-B", pair.WATCHED),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        before = busy_seconds()
        done = json.loads(run(*pair.within(pair.peer, "iperf3", "-J", "-c", pair.WATCHED, "-t", IPERF_SECONDS,
                                           *(["-R"] if reverse else []))))
        busy = busy_seconds() - before
        server.wait(timeout=30)
        return done["end"]["sum_received"]["bits_per_second"] / 1e9, busy / IPERF_SECONDS

    def once(self, watcher, reverse):
        """watcher: options of an agent (list), the XDP mode of an empty program (str), or None."""
        with Pair() as pair:
            agent = None
            if isinstance(watcher, str):
                run("ip", "-n", pair.watched, "link", "set", "dev", "watched0", watcher, "object",
                    os.path.join(self.options.programs, "bpf", "packet_cost.bpf.o"), "section", "xdp.frags")
            elif watcher:
                agent = Agent(self.options.agent, pair, "--output", "/dev/null", *watcher)
            figures = self.iperf(pair, reverse)
            if agent:
                agent.stop()
            return figures

    def transfers(self):
        for reverse in False, True:
            found = {name: [] for name in WATCHERS}
            for _ in range(self.options.transfers):
                for name, watcher in WATCHERS.items():
                    found[name].append(self.once(watcher, reverse))
            way = "sent" if reverse else "received"
            for name, values in found.items():
                limit = ("veth has no large frames once native XDP is attached" if "native" in name else
                         "generic XDP copies each large frame" if "generic" in name else "copies; all cores are busy")
                self.add(f"iperf3, {way} by the watched end, {name}", [rate for rate, _ in values], "Gbit/s", limit)
                self.add("  busy cores", [busy for _, busy in values], "", "")
                for other in COMPARED.get(name, []):
                    self.add(f"  slower than {other}", [100 * (1 - rate / bare) for (rate, _), (bare, _) in
                                                      zip(values, found[other])], "%", "",
                             "<= 3", lambda median: median <= 3)


def busy_seconds():
    """CPU time of all CPUs since boot"""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def text(result):
    lines = []
    for row in result["rows"]:
        spread_of = f"[{number(row['low'])}-{number(row['high'])}]" if row["rounds"] > 1 else ""
        met = "" if row["met"] is None else "yes" if row["met"] else "NO"
        lines.append(f"{row['what']:58} {number(row['median']):>8} {spread_of:17} {row['unit']:10} "
                     f"{row['goal']:8} {met:4} {row['limit']}".rstrip())
    of = result["machine"]
    where = "a virtual machine" if of["virtual"] else "hardware"
    return "\n".join(["", f"{'what':58} {'median':>8} {'[quartiles]':17} {'unit':10} {'goal':8} {'met':4} limited by",
                      *lines, "", f"Machine: {of['cpu']}, {of['cores']} cores, {of['memory']}, {of['kernel']}, {where}.", ""])


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", required=True, help="tcpwin-agent")
    parser.add_argument("--programs", required=True, help="directory of the benchmark's programs")
    parser.add_argument("--sender", required=True, help="live_frames_sender")
    parser.add_argument("--rounds", type=int, default=21, help="rounds of each measurement (default: %(default)s)")
    parser.add_argument("--transfers", type=int, default=5, help="rounds of iperf3 (default: %(default)s)")
    parser.add_argument("--only", nargs="*",
                        help="run only these parts: packet_cost throughput stall records idle_agent latency transfers")
    parser.add_argument("--add-to", metavar="FILE", help="add the figures to this JSON file of bench.py")
    options = parser.parse_args()
    for name in "agent", "programs", "sender":
        setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


def add_to(path, result):
    whole = {}
    if os.path.exists(path):
        with open(path) as file:
            whole = json.load(file)
    whole["live"] = result
    with open(path, "w") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")


def main():
    options = parse_options()
    if os.geteuid() != 0:
        print("SKIPPED: measuring the cost of watching needs root", file=sys.stderr)
        return
    bench = Bench(options)
    with tempfile.TemporaryDirectory(prefix="tcpwin-bench-") as directory:
        parts = {"packet_cost": bench.packet_cost, "throughput": bench.throughput, "stall": bench.stall,
                 "records": lambda: bench.records(directory), "idle_agent": bench.idle_agent, "latency": bench.latency,
                 "transfers": bench.transfers}
        for name, part in parts.items():
            if not options.only or name in options.only:
                part()
    result = {"machine": report.machine(core=None), "rows": bench.rows}
    print(text(result))
    if options.add_to:
        add_to(options.add_to, result)


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
