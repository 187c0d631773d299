# SPDX-License-Identifier: Apache-2.0
"""Two namespaces with a veth pair between them, and the agent on one end."""

import os
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


class Pair:
    """peer0 in one namespace, watched0 in the other, with addresses."""

    PEER, WATCHED = "192.0.2.1", "192.0.2.2"

    def __enter__(self):
        self.peer, self.watched = (f"tcpwin-bench-{os.getpid()}-{end}" for end in ("peer", "watched"))
        for namespace in self.peer, self.watched:
            run("ip", "netns", "add", namespace)
        run("ip", "-n", self.peer, "link", "add", "peer0", "type", "veth", "peer", "name", "watched0",
            "netns", self.watched)
        for namespace, device, address in (self.peer, "peer0", self.PEER), (self.watched, "watched0", self.WATCHED):
            run(*self.within(namespace, "sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{device}/disable_ipv6"))
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        for namespace in self.peer, self.watched:
            subprocess.run(["ip", "netns", "del", namespace], check=False)

    @staticmethod
    def within(namespace, *command):
        return ["ip", "netns", "exec", namespace, *map(str, command)]


class Agent:
    """An agent that is attached when the constructor returns. attach_seconds is the time since the process was started."""

    def __init__(self, binary, pair, *options):
        started = time.monotonic()
        self.process = subprocess.Popen(
            pair.within(pair.watched, binary, "attach", "watched0", *options), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = []
        while "attached to" not in (line := self.process.stderr.readline().decode()):
            if not line:
                raise RuntimeError("the agent did not attach: " + "".join(said))
            said.append(line)
        self.attach_seconds = time.monotonic() - started

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

    def stop(self):
        """Stops the agent; returns the seconds until its exit."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, report = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise RuntimeError(f"the agent failed: {report.decode()}")
        return time.monotonic() - started
