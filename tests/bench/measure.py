# SPDX-License-Identifier: Apache-2.0
"""Runs a program on one core and measures its time and memory."""

import os
import re
import resource
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass


# Some tools take 8 KB per flow; they must not exhaust the memory of the machine.
MOST_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


@dataclass(frozen=True)
class Run:
    wall: float  # seconds
    cpu: float  # seconds, user and system, of all its threads
    peak_mb: float  # resident; at least that of this process, see floor_mb()
    status: int  # negative: the signal
    timed_out: bool

    @property
    def failed(self):
        return self.timed_out or self.status != 0


def use_one_core():
    """Pins this process and its children to one core; returns its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def floor_mb():
    """Peak memory of this process. The kernel starts the peak of a child at that of its parent, so this process stays small."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def output_of(scratch):
    return os.path.join(scratch, "output")


def run(argv, scratch, timeout):
    """Runs argv in the directory `scratch`; standard output and error go to output_of(scratch)."""
    with open(output_of(scratch), "wb") as sink:
        started = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=scratch)
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
        expired = threading.Event()
        timer = threading.Timer(timeout, lambda: (expired.set(), process.kill()))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
               process.returncode, expired.is_set())


def number_in(scratch, pattern):
    """The first group of the first output line that matches, as a number; None if no line matches."""
    with open(output_of(scratch), errors="replace") as lines:
        for line in lines:
            if found := re.search(pattern, line):
                return int(found.group(1))
    return None


def last_line(scratch):
    """The last line of the output that is not empty"""
    last = "no message"
    with open(output_of(scratch), errors="replace") as lines:
        for line in lines:
            last = line.strip() or last
    return last


def summarize(packets, runs):
    """Packets per second of CPU time, over several runs."""
    rates = [packets / run.cpu for run in runs]
    return {
        "packets_per_second": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "cpu_seconds": statistics.median(run.cpu for run in runs),
        "wall_seconds": statistics.median(run.wall for run in runs),
        "peak_mb": max(run.peak_mb for run in runs),
        "runs": len(runs),
    }
