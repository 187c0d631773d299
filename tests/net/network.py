# SPDX-License-Identifier: Apache-2.0
"""Private network namespaces and veth pairs.

No interface of the machine is touched: links are created inside namespaces that carry this process's id in their names,
and are deleted with them.
"""
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

TCX = pathlib.Path(__file__).with_name("tcx.py")
_counter = itertools.count(1)

# Seconds. Events come within milliseconds; the rest is for a loaded machine.
TIMEOUT = 60

SILENCE = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null || true"


def run(*command, check=True, timeout=TIMEOUT, **options):
    """Runs a command to its end; if it fails, the error contains its output."""
    done = subprocess.run([str(word) for word in command], timeout=timeout, text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(done.args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition, timeout=TIMEOUT, interval=0.02):
    """Whether condition() became true within `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


class Namespace:
    """A network namespace; once silenced, the kernel sends nothing in it by itself."""

    def __init__(self):
        self.name = f"tcpwin-t{os.getpid()}-{next(_counter)}"
        run("ip", "netns", "add", self.name)

    def inside(self, *command):
        """The command line that runs `command` in this namespace. nsenter execs it, so the process ID stays the same."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def silence(self):
        run(*self.inside("sh", "-c", SILENCE))

    def ip(self, *words, check=True):
        return run("ip", "-n", self.name, *words, check=check)

    def set_up(self, *devices):
        """Sets the devices up, without ARP and IPv6 link-local addresses: nothing is sent on them by itself."""
        for device in devices:
            self.ip("link", "set", "dev", device, "addrgenmode", "none", "arp", "off", "up")

    def add_pair(self, near, far, up=True):
        """A veth pair with both ends in this namespace."""
        self.ip("link", "add", "name", near, "type", "veth", "peer", "name", far)
        if up:
            self.set_up(near, far)
        else:
            for device in near, far:
                self.ip("link", "set", "dev", device, "addrgenmode", "none", "arp", "off")

    def link(self, device):
        """The device as `ip` shows it: counters, XDP program."""
        return json.loads(self.ip("-details", "-stats", "-json", "link", "show", "dev", device).stdout)[0]

    def index(self, device):
        return self.link(device)["ifindex"]

    def has_device(self, device):
        return self.ip("link", "show", "dev", device, check=False).returncode == 0

    def xdp_programs(self, device):
        """IDs of the XDP programs on the device."""
        xdp = self.link(device).get("xdp", {})
        programs = [xdp.get("prog"), *(entry.get("prog") for entry in xdp.get("attached", []))]
        return sorted({program["id"] for program in programs if program})

    def tcx_programs(self, device):
        """IDs of the TCX programs on the device, ingress first."""
        return [int(number) for number in run(*self.inside(sys.executable, TCX, "query", device)).stdout.split()]

    def delete(self):
        run("ip", "netns", "delete", self.name, check=False)


class Wire:
    """Two namespaces and a veth pair between them: `left` sends, `right` is watched."""

    LEFT, RIGHT = "sender0", "watched0"

    def __init__(self):
        self.namespaces = []

    def build(self, addresses=None):
        """addresses: (left, right), with prefix lengths; None: no addresses and no ARP."""
        self.left, self.right = self._namespace(), self._namespace()
        self.left.ip("link", "add", "name", self.LEFT, "type", "veth", "peer", "name", self.RIGHT, "netns", self.right.name)
        for end, (namespace, device) in enumerate(((self.left, self.LEFT), (self.right, self.RIGHT))):
            namespace.set_up(device)
            if addresses:
                namespace.ip("link", "set", "dev", device, "arp", "on")
                namespace.ip("address", "add", addresses[end], "dev", device)
        return self

    def _namespace(self):
        namespace = Namespace()
        self.namespaces.append(namespace)
        namespace.silence()
        return namespace

    def received(self):
        """(frames received at the watched end, frames dropped at either end)"""
        right, left = self.right.link(self.RIGHT)["stats64"], self.left.link(self.LEFT)["stats64"]
        return right["rx"]["packets"], right["rx"]["dropped"] + left["tx"]["dropped"]

    def delete(self):
        for namespace in self.namespaces:
            namespace.delete()
