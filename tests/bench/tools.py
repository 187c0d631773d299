# SPDX-License-Identifier: Apache-2.0
"""Alternatives in Debian that users may know.

Each tool has a command that processes all packets of a capture, and a function that reads from its output how many
packets it processed.
"""

import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from typing import Callable

from measure import number_in, output_of

SBIN = "/usr/sbin:/sbin"


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "/usr/bin:/bin") + ":" + SBIN)


@dataclass(frozen=True)
class Tool:
    name: str
    packages: tuple
    command: Callable  # (capture, scratch directory) -> argv
    processed: Callable  # (scratch directory) -> packets processed by its own account, or None
    evidence: str  # the source of `processed`


class DeafCollector:
    """A collector on loopback that never reads; exported flows are discarded."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.socket.bind(("127.0.0.1", 0))

    @property
    def address(self):
        return "127.0.0.1:%d" % self.socket.getsockname()[1]


# ---- argus ----


def argus_command(capture, scratch):
    return ["argus", "-X", "-F", "/dev/null", "-r", capture, "-w", os.path.join(scratch, "argus.out")]


def argus_processed(scratch):
    if not find("racount"):
        return None
    counted = subprocess.run(
        [find("racount"), "-X", "-F", "/dev/null", "-r", os.path.join(scratch, "argus.out")],
        capture_output=True, text=True, check=False)
    found = re.search(r"sum\s+\d+\s+(\d+)", counted.stdout)
    return int(found.group(1)) if found else None


# ---- softflowd ----


def softflowd_command(collector):
    def command(capture, scratch):
        # A table with room for every flow, as in the other tools. NetFlow 9, because 5 has no IPv6.
        return ["softflowd", "-r", capture, "-d", "-6", "-v", "9", "-n", collector.address, "-m", "2000000",
                "-p", os.path.join(scratch, "pid"), "-c", "none"]
    return command


def softflowd_processed(scratch):
    processed = number_in(scratch, r"Packets processed: (\d+)")
    ignored = number_in(scratch, r"Ignored packets: (\d+)")
    return None if processed is None or ignored is None else processed + ignored


# ---- nfpcapd ----


def nfpcapd_command(capture, scratch):
    return ["nfpcapd", "-r", capture, "-w", scratch]


def nfpcapd_processed(scratch):
    return number_in(scratch, r"^Total: Processed: (\d+)")


# ---- tcptrace ----


def tcptrace_command(capture, scratch):
    return ["tcptrace", "-n", capture]


def tcptrace_processed(scratch):
    return number_in(scratch, r"(\d+) packets seen, \d+ TCP packets traced")


# ---- tshark ----


def tshark_command(capture, scratch):
    return ["tshark", "-n", "-r", capture, "-q", "-z", "conv,tcp"]


def tshark_processed(scratch):
    """Columns: A <-> B, then frames, bytes and unit for each direction and in total."""
    with open(output_of(scratch), errors="replace") as lines:
        rows = (line.split() for line in lines if "<->" in line)
        return sum(int(row[9]) for row in rows if len(row) > 9 and row[9].isdigit())


def all_tools(collector):
    return [
        Tool("argus", ("argus-server", "argus-client"), argus_command, argus_processed,
             "the sum over its records, by racount"),
        Tool("softflowd", ("softflowd",), softflowd_command(collector), softflowd_processed,
             "its statistics: processed plus ignored"),
        Tool("nfpcapd", ("nfdump",), nfpcapd_command, nfpcapd_processed, "its own total"),
        Tool("tcptrace", ("tcptrace",), tcptrace_command, tcptrace_processed, "its own total, IP packets only"),
        Tool("tshark", ("tshark",), tshark_command, tshark_processed,
             "the frames of its conversations, TCP only"),
    ]


# ---- installing ----


def apt_get(*arguments):
    return subprocess.run(["apt-get", "-q", "-y", *arguments], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def install(packages):
    """Returns None, or the reason for the failure."""
    if os.geteuid() != 0:
        return "installing needs root: apt-get install --no-install-recommends " + " ".join(packages)
    if not shutil.which("apt-get"):
        return "this system has no apt-get"
    arguments = ("install", "--no-install-recommends", *packages)
    installed = apt_get(*arguments)
    if installed.returncode != 0:
        apt_get("update")
        installed = apt_get(*arguments)
    return None if installed.returncode == 0 else "apt-get: " + installed.stderr.strip().splitlines()[-1]


def missing_packages(tools):
    wanted = [tool for tool in tools if not find(tool.name)]
    wanted += [tool for tool in tools if tool.name == "argus" and not find("racount") and tool not in wanted]
    return sorted({package for tool in wanted for package in tool.packages})


def package_version(tool):
    if not shutil.which("dpkg-query"):
        return "version unknown"
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", tool.packages[0]], capture_output=True, text=True,
                           check=False)
    return asked.stdout if asked.returncode == 0 else "version unknown"
