# SPDX-License-Identifier: Apache-2.0
"""Windows compared with tcptrace, direction by direction.

tcptrace ignores the windows of RST segments, as we do, and those of SYN segments in some connections only. Its minimum
is never 0.
"""
import csv

import pytest

from captures import DIRECTORY
from network import run
from test_analysis import CAPTURES, is_one_connection, packets_of, sides_of

pytestmark = [pytest.mark.needs("tcptrace", "tshark")]

# Excluded: ftp_ipv6.pcap, which tcptrace cannot read; retransmissions.pcapng, which has only one direction.
TRACED = [name for name in CAPTURES if name not in ("ftp_ipv6.pcap", "retransmissions.pcapng")]
FIN, SYN, ACK = 1, 2, 16
ENDS = {"a2b": ("a", "b"), "b2a": ("b", "a")}


def traced(name):
    """{(ip, port, peer ip, peer port): (zero windows, smallest above 0, largest)} of each direction"""
    text = run("tcptrace", "-l", "-n", "--csv", DIRECTORY / name).stdout
    rows = csv.DictReader((line for line in text.splitlines() if line and not line.startswith("#")), skipinitialspace=True)
    found = {}
    for row in rows:
        for direction, (one, other) in ENDS.items():
            key = (row[f"host_{one}"].strip(), int(row[f"port_{one}"]), row[f"host_{other}"].strip(), int(row[f"port_{other}"]))
            found[key] = tuple(int(row[f"{what}_win_adv_{direction}"]) for what in ("zero", "min", "max"))
    return found


def ends_of(side):
    """Smallest and largest window in bytes; raw where the scale is unknown, as in tcptrace"""
    window = side["window"]
    return [window["min"], window["max"]] if window["max"] else [side["window_min"], side["window_max"]]


def windows(side, packets, syn):
    """Ours plus what only tcptrace counts: zero windows of a FIN, and the windows of a SYN (if `syn`)"""
    of_fin = [packet.raw for packet in packets if packet.flags & FIN and packet.flags & ACK]
    of_syn = [packet.raw for packet in packets if packet.flags & SYN] if syn else []
    known = [window for window in ends_of(side) + of_syn if window]
    return side["stall"]["zero_window_segments"] + (of_fin + of_syn).count(0), known


@pytest.mark.parametrize("name", TRACED)
def test_windows_match_tcptrace(name):
    theirs, directions, compared = traced(name), packets_of(name), 0
    for key, side in sides_of(name).items():
        if key[:4] not in theirs or key not in directions or not is_one_connection(directions, key):
            continue
        zero, *ends = theirs[key[:4]]
        if ends == [0, 0] and not side["window"]["max"]:
            continue  # only SYN and RST
        possible = []
        for syn in (False, True):
            zeros, known = windows(side, directions[key], syn)
            # Where our minimum is 0, the next larger one is unknown.
            smallest = min(known, default=0) if ends_of(side)[0] else ends[0]
            possible.append((zeros, [smallest, max(known, default=0)]))
        assert (zero, ends) in possible, key
        compared += 1
    assert compared
