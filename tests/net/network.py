# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and veth pairs of the tests' own.

Nothing here touches an interface of the machine: links are created inside
namespaces whose names hold this process's id, and deleted with them.
"""
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

QUERY_TCX = pathlib.Path(__file__).with_name("query_tcx.py")
_counter = itertools.count(1)

SILENCE = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null || true"


def run(*command, check=True, timeout=60, **options):
    """Runs a command to its end; a failure shows what it printed."""
    done = subprocess.run([str(word) for word in command], timeout=timeout, text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(done.args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, timeout=10.0, interval=0.02):
    """Whether condition() came true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


class Namespace:
    """A network namespace in which the kernel says nothing of its own accord."""

    def __init__(self):
        self.name = f"tcpwin-t{os.getpid()}-{next(_counter)}"
        run("ip", "netns", "add", self.name)

    def inside(self, *command):
        """The command, to be run in this namespace. nsenter execs it: it keeps the process id."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def silence(self):
        run(*self.inside("sh", "-c", SILENCE))

    def link(self, device):
        """What `ip` knows of the device: counters, XDP program."""
        return json.loads(run("ip", "-n", self.name, "-details", "-stats", "-json", "link", "show", "dev", device).stdout)[0]

    def has_device(self, device):
        return run("ip", "-n", self.name, "link", "show", "dev", device, check=False).returncode == 0

    def xdp_programs(self, device):
        """Ids of the XDP programs on the device."""
        xdp = self.link(device).get("xdp", {})
        programs = [xdp.get("prog"), *(entry.get("prog") for entry in xdp.get("attached", []))]
        return sorted({program["id"] for program in programs if program})

    def tcx_programs(self, device):
        """Ids of the TCX programs on the device, incoming and outgoing."""
        return [int(number) for number in run(*self.inside(sys.executable, QUERY_TCX, device)).stdout.split()]

    def delete(self):
        run("ip", "netns", "delete", self.name, check=False)


class Wire:
    """Two namespaces and a veth pair between them: `left` sends, `right` is watched."""

    LEFT, RIGHT = "sender0", "watched0"

    def __init__(self):
        self.namespaces = []

    def build(self, addresses=None):
        """addresses: (left, right) with prefix lengths for a living pair; None for a silent one."""
        self.left, self.right = self._namespace(), self._namespace()
        run("ip", "-n", self.left.name, "link", "add", "name", self.LEFT, "type", "veth",
            "peer", "name", self.RIGHT, "netns", self.right.name)
        for end, (namespace, device) in enumerate(((self.left, self.LEFT), (self.right, self.RIGHT))):
            arp = "on" if addresses else "off"
            run("ip", "-n", namespace.name, "link", "set", "dev", device, "addrgenmode", "none", "arp", arp, "up")
            if addresses:
                run("ip", "-n", namespace.name, "address", "add", addresses[end], "dev", device)
        return self

    def _namespace(self):
        namespace = Namespace()
        self.namespaces.append(namespace)
        namespace.silence()
        return namespace

    def received(self):
        """Frames that the kernel took in on the watched end, and frames lost on the way."""
        right, left = self.right.link(self.RIGHT)["stats64"], self.left.link(self.LEFT)["stats64"]
        return right["rx"]["packets"], right["rx"]["dropped"] + left["tx"]["dropped"]

    def delete(self):
        for namespace in self.namespaces:
            namespace.delete()
