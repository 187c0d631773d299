# SPDX-License-Identifier: Apache-2.0
"""Captures: what tshark reads from them, and how to replay them."""
import collections
import dataclasses
import functools
import os
import pathlib
import re
import struct

from network import run, wait_until

DIRECTORY = pathlib.Path(__file__).resolve().parents[1] / "captures"

# Far below the capacity of a veth, so that a loaded machine does not overflow its queue of 256 frames.
PACKETS_PER_SECOND = 5000

FIELDS = ("ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "vlan.id",
          "tcp.window_size_value", "tcp.flags")


@dataclasses.dataclass
class Facts:
    """packets and zero_windows per sender: (ip, port, peer ip, peer port, vlan)"""
    frames: int
    packets: collections.Counter
    zero_windows: collections.Counter


def count_frames(path):
    return int(re.search(r"Number of packets:\s+(\d+)", run("capinfos", "-c", "-M", path).stdout)[1])


def tshark_fields(path, display_filter="tcp", fields=FIELDS):
    columns = [word for field in fields for word in ("-e", field)]
    # The user's tshark profile must not change the output.
    environment = {**os.environ, "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"}
    out = run("tshark", "-n", "-r", path, "-Y", display_filter, "-T", "fields", *columns, env=environment).stdout
    return [line.split("\t") for line in out.splitlines()]


@functools.cache
def facts_of(name):
    packets, zero_windows = collections.Counter(), collections.Counter()
    for source, source6, port, peer, peer6, peer_port, vlan, window, _ in tshark_fields(DIRECTORY / name):
        sender = (source or source6, int(port), peer or peer6, int(peer_port), int(vlan) if vlan else None)
        packets[sender] += 1
        zero_windows[sender] += int(window) == 0
    return Facts(count_frames(DIRECTORY / name), packets, +zero_windows)


def facts_of_records(records):
    """The same from flow records. A peer that was never seen is (None, None)."""
    packets, zero_windows = collections.Counter(), collections.Counter()
    for record in records:
        for side, peer in ((record["a"], record["b"]), (record["b"], record["a"])):
            if side:
                sender = (side["ip"], side["port"], *((peer["ip"], peer["port"]) if peer else (None, None)), record["vlan"])
                packets[sender] += side["packets"]
                zero_windows[sender] += side["zero_window_count"]
    return packets, +zero_windows


def replay(wire, name, speed=f"--pps={PACKETS_PER_SECOND}"):
    """Replays the capture into the wire, waits until all packets have arrived, and returns their number."""
    before, _ = wire.received()
    done = run(*wire.left.inside("tcpreplay", "--quiet", speed, f"--intf1={wire.LEFT}", DIRECTORY / name))
    sent = int(re.search(r"Successful packets:\s+(\d+)", done.stdout + done.stderr)[1])
    wait_until(lambda: wire.received()[0] >= before + sent)
    arrived, dropped = wire.received()
    assert (arrived - before, dropped) == (sent, 0), "the kernel, not the agent, lost packets of the replay"
    return sent


def write_capture(path, frames, times=None):
    """A pcap file of Ethernet frames; times: seconds, by default a millisecond apart."""
    content = struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    for number, frame in enumerate(frames):
        microseconds = round(times[number] * 10**6) if times else 1000 * number
        content += struct.pack("<IIII", 1_700_000_000 + microseconds // 10**6, microseconds % 10**6, len(frame), len(frame))
        content += frame
    path.write_bytes(content)
