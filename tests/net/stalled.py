# SPDX-License-Identifier: Apache-2.0
"""A real TCP connection whose reader stalls, see tcp_peers.py."""
import pathlib
import subprocess
import sys

from network import TIMEOUT

READER, WRITER = "10.2.0.1", "10.2.0.2"
ADDRESSES = (f"{READER}/24", f"{WRITER}/24")  # of the two ends of a wire
PEERS = pathlib.Path(__file__).with_name("tcp_peers.py")


def stall(processes, wire, *seconds):
    """The reader (left) accepts and sleeps; the writer (right) sends until all is read.

    Returns how long the reader slept, by its own clock.
    """
    reader = processes(wire.left.inside(sys.executable, PEERS, "read", READER, *seconds), stdout=subprocess.PIPE)
    assert reader.stdout.readline() == "listening\n"
    writer = processes(wire.right.inside(sys.executable, PEERS, "write", READER))
    assert writer.wait(TIMEOUT) == 0
    assert reader.wait(TIMEOUT) == 0
    return float(reader.stdout.readline().removeprefix("slept "))
