# SPDX-License-Identifier: Apache-2.0
"""`limits` of real transfers, compared with the kernel's own books: TCP_INFO of the sending socket.

The transfer is watched at the sender's host, on a router half-way and at the receiver's host. Figures differ by 10 % or
50 ms at most, except by these rules:
 1. Where window and congestion window are used up at the same time, Linux counts the latter, limits the former.
 2. Linux defers a burst for which the window has too little room (tcp_tso_should_defer), and counts that as the
    receiver's time; limits does so only if the window has no room for a segment.
 3. Away from the sender, the window is looked at once per round trip: 25 %, and three round trips.
 4. Queues before the point of observation are not seen there: busy and receiver are lower bounds.
The times of rules 1 and 2 are measured by looking at the socket every few milliseconds. Congestion control is cubic: BBR
paces, and Linux counts as limited by nothing the time in which a paced sender does not try the window.

TCPWIN_LIMITS=all runs every cell with and without offloads, over IPv4 and IPv6.
"""
import contextlib
import dataclasses
import itertools
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from agent import Agent, run_agent
from leftovers import LONG
from network import TIMEOUT, run, wait_until
from topology import FAMILIES, Counted, Topology

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool")]

POINTS = {"sender": ("client", "c0"), "router": ("router", "m1"), "receiver": ("server", "s0")}
SECONDS = 2.5
KIB = 1024
RELAY, READER = (pathlib.Path(__file__).with_name(name) for name in ("relay.py", "limits_reader.py"))


@dataclasses.dataclass
class Books:
    """Of the sending socket, in seconds."""
    busy: float
    receiver: float
    both: float = 0.0      # while the window and the congestion window were used up
    deferred: float = 0.0  # while the window had room for a segment, but not for all data that waited

    @classmethod
    def of(cls, connected):
        counted = Counted(connected)
        return cls(counted.busy_time / 1e6, counted.rwnd_limited / 1e6)


class Sampler:
    """Looks at the sending socket every few milliseconds."""

    def __init__(self, connected):
        self.connected, self.samples, self.ended = connected, [], threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        self.thread.join()

    def _run(self):
        while not self.ended.wait(0.004):
            self.samples.append((time.monotonic(), Counted(self.connected)))

    def complete(self, books):
        for (before, _), (now, sample) in itertools.pairwise(self.samples):
            room = sample.snd_wnd - sample.unacked * sample.mss
            if sample.notsent and room < sample.mss and sample.unacked >= sample.cwnd:
                books.both += now - before
            if sample.notsent and sample.mss <= room < 65536:
                books.deferred += now - before
        return books


# ---- senders ----

def send_all(connected, seconds):
    """Always has something to send."""
    connected.settimeout(0.2)
    end, data = time.monotonic() + seconds, bytes(256 * KIB)
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            connected.send(data)


def send_now_and_then(amount, pause):
    def sender(connected, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connected.sendall(bytes(amount))
            time.sleep(pause)
    return sender


def one_after_the_other(connected, seconds):
    send_all(connected, seconds / 2)
    connected.settimeout(TIMEOUT)
    send_now_and_then(2000, 0.02)(connected, seconds / 2)


@dataclasses.dataclass
class Cell:
    buffer: int = 0
    reader: tuple = (65536, 0, 0)  # amount, pause, sleep: see limits_reader.py
    sender: object = send_all
    delay: float = 0.002
    loss: float = 0
    rate: float = 0
    queue: bool = False  # on the path, longer than the round trip of the handshake


CELLS = {
    "steady_4k": Cell(4 * KIB),
    "steady_16k": Cell(16 * KIB),
    "steady_64k": Cell(64 * KIB),
    "slow_4k_20ms": Cell(16 * KIB, (4 * KIB, 0.02, 0)),
    "slow_16k_50ms": Cell(64 * KIB, (16 * KIB, 0.05, 0)),
    "slow_64k_100ms": Cell(256 * KIB, (64 * KIB, 0.1, 0)),
    "sleeper": Cell(64 * KIB, (65536, 0, 1.5)),
    "application": Cell(sender=send_now_and_then(2000, 0.05), delay=0.01),
    "delay_1ms": Cell(delay=0.0005, queue=True),
    "delay_20ms": Cell(delay=0.01, queue=True),
    "delay_100ms": Cell(delay=0.05, queue=True),
    "delay_20ms_64k": Cell(64 * KIB, delay=0.01),
    "application_100ms": Cell(sender=send_now_and_then(2000, 0.3), delay=0.05),
    "loss_0.1": Cell(loss=0.001, queue=True),
    "loss_1": Cell(loss=0.01, queue=True),
    "rate": Cell(rate=20e6, queue=True),
    "two_limits": Cell(16 * KIB, (4 * KIB, 0.02, 0), one_after_the_other),
}


class Path:
    """client - router - server, and an agent at each."""

    def __init__(self, offload, start):
        self.topology = Topology().relayed(offload)
        for host in (self.topology.client, self.topology.server):
            run(*host.inside("sh", "-c", "cd /proc/sys/net/ipv4; echo 1 > tcp_sack; echo 3 > tcp_early_retrans"))
        self.hosts = {point: getattr(self.topology, host) for point, (host, _) in POINTS.items()}
        for point, (_, device) in POINTS.items():
            start(self.hosts[point], device)

    def transfer(self, version, cell, processes):
        """Returns the books, and the flow at each point."""
        relay = processes(self.topology.router.inside(sys.executable, RELAY, cell.delay, cell.loss, cell.rate,
                                                      "r0", "m0", "m1", "r1"), stdout=subprocess.PIPE)
        assert relay.stdout.readline() == "relaying\n"
        reader = processes(self.topology.server.inside(sys.executable, READER, self.topology.address[version],
                                                       cell.buffer, *cell.reader), stdout=subprocess.PIPE)
        with self.topology.client.socket(FAMILIES[version], socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
            client.connect((self.topology.address[version], int(reader.stdout.readline())))
            with Sampler(client) as sampler:
                cell.sender(client, SECONDS)
                assert wait_until(lambda: not (Counted(client).unacked + Counted(client).notsent))
            time.sleep(0.3)  # the last acknowledgement has passed everywhere
            books = sampler.complete(Books.of(client))
            flows = {point: self.flow(point, version, *client.getsockname()[:2]) for point in POINTS}
        assert reader.wait(TIMEOUT) == 0
        relay.terminate()
        relay.wait(TIMEOUT)
        return books, flows

    def flow(self, point, version, ip, port):
        text = f"{ip}:{port}" if version == 4 else f"[{ip}]:{port}"
        outcome = run_agent("flows", "--json", "--filter", text, prefix=self.hosts[point].inside())
        flow, = outcome.records
        return flow


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """paths(offload): a Path, the same for all tests."""
    made, agents = {}, []

    def start(host, device):
        agents.append(Agent(host, device, *LONG, directory=tmp_path_factory.mktemp(device)).wait_attached(device))

    yield lambda offload: made.get(offload) or made.setdefault(offload, Path(offload, start))
    for agent in agents:
        agent.stop()
    for path in made.values():
        path.topology.delete()


def tolerance(value, share=0.1, more=0.0):
    return max(share * value, 0.05) + more


def check_at_sender(limits, books):
    assert abs(limits["busy"] - books.busy) <= tolerance(books.busy)
    assert limits["receiver"] <= books.receiver + tolerance(books.receiver) + books.both
    assert limits["receiver"] >= books.receiver - tolerance(books.receiver) - books.deferred


def check_far(limits, books, cell):
    several = 6 * cell.delay  # three round trips
    assert limits["busy"] <= books.busy + tolerance(books.busy)
    assert limits["busy"] >= books.busy - tolerance(books.busy) or cell.queue
    assert limits["receiver"] <= books.receiver + tolerance(books.receiver, 0.25, several) + books.both
    assert limits["receiver"] >= books.receiver - tolerance(books.receiver, 0.25, several) - books.deferred or cell.queue


def combinations():
    """(cell, offload, version)"""
    every = [(offload, version) for offload in (True, False) for version in (4, 6)]
    for number, name in enumerate(CELLS):
        for offload, version in every if os.environ.get("TCPWIN_LIMITS") == "all" else [every[number % len(every)]]:
            yield name, offload, version


@pytest.mark.parametrize("name,offload,version", list(combinations()))
def test_limits_are_those_of_the_socket(name, offload, version, paths, processes):
    cell = CELLS[name]
    books, flows = paths(offload).transfer(version, cell, processes)
    print(books)
    for point, flow in flows.items():
        limits = flow["a"]["limits"]
        print(point, limits, flow["b"]["stall"]["total"])
        assert limits["busy"] == pytest.approx(limits["receiver"] + limits["network"], abs=1e-9)
        assert flow["b"]["limits"] == {"busy": 0, "receiver": 0, "network": 0, "application": 0}
        if point == "sender":
            check_at_sender(limits, books)
        else:
            check_far(limits, books, cell)
        if name.startswith("application"):
            assert limits["application"] > 0.5 and limits["receiver"] == 0
