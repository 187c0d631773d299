# SPDX-License-Identifier: Apache-2.0
"""`limits` of real transfers, compared with the kernel's own books: TCP_INFO of the sending socket.

The transfer is watched at the sender's host, on a router and at the receiver's host. The client sends.
"""
import contextlib
import dataclasses
import pathlib
import socket
import struct
import subprocess
import sys
import time

import pytest

from agent import run_agent
from leftovers import LONG
from network import TIMEOUT, run, wait_until
from topology import FAMILIES, Counted, Topology

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool")]

POINTS = {"sender": ("client", "c0"), "router": ("router", "r0"), "receiver": ("server", "s0")}
SECONDS = 3
KIB = 1024
RELAY, READER = (pathlib.Path(__file__).with_name(name) for name in ("relay.py", "limits_reader.py"))


@dataclasses.dataclass
class Books:
    """Of the sending socket, in seconds. Time limited by the send buffer is time limited by nothing else here."""
    busy: float
    receiver: float
    sndbuf: float

    @classmethod
    def of(cls, connected):
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return cls(*(time / 1e6 for time in struct.unpack_from("=QQQ", info, 168)))


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
    delay: float = 0.0005
    loss: float = 0
    rate: float = 0


CELLS = {
    "steady_4k": Cell(4 * KIB),
    "steady_16k": Cell(16 * KIB),
    "steady_64k": Cell(64 * KIB),
    "slow_4k_20ms": Cell(16 * KIB, (4 * KIB, 0.02, 0)),
    "slow_16k_50ms": Cell(64 * KIB, (16 * KIB, 0.05, 0)),
    "slow_64k_100ms": Cell(256 * KIB, (64 * KIB, 0.1, 0)),
    "sleeper": Cell(64 * KIB, (65536, 0, 1.5)),
    "application": Cell(sender=send_now_and_then(2000, 0.01)),
    "delay_1ms": Cell(delay=0.0005),
    "delay_20ms": Cell(delay=0.01),
    "delay_100ms": Cell(delay=0.05),
    "delay_20ms_64k": Cell(64 * KIB, delay=0.01),
    "application_100ms": Cell(sender=send_now_and_then(2000, 0.3), delay=0.05),
    "loss_0.1": Cell(loss=0.001),
    "loss_1": Cell(loss=0.01),
    "rate": Cell(rate=20e6),
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
        relay = processes(self.topology.router.inside(sys.executable, RELAY, "r0", "r1", cell.delay, cell.loss, cell.rate),
                          stdout=subprocess.PIPE)
        assert relay.stdout.readline() == "relaying\n"
        reader = processes(self.topology.server.inside(sys.executable, READER, self.topology.address[version],
                                                       cell.buffer, *cell.reader), stdout=subprocess.PIPE)
        with self.topology.client.socket(FAMILIES[version], socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT)
            client.connect((self.topology.address[version], int(reader.stdout.readline())))
            cell.sender(client, SECONDS)
            assert wait_until(lambda: not (Counted(client).unacked + Counted(client).notsent))
            time.sleep(0.3)  # the last acknowledgement has passed everywhere
            books = Books.of(client)
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
