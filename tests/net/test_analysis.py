# SPDX-License-Identifier: Apache-2.0
"""Stall analysis compared with tshark's, direction by direction, on the same captures.

`replay` runs with timeouts so long that a connection is one flow. Deliberate differences in definition are part of the
expectation; single directions that differ are listed in DIFFERENT with the reason.
"""
import collections
import functools
import json

import pytest

from agent import run_agent
from captures import DIRECTORY, tshark_fields

pytestmark = [pytest.mark.needs("tshark")]

CAPTURES = ["zerowindow_recovery.pcapng", "zerowindow_dead.pcapng", "retransmissions.pcapng", "dupack.pcapng",
            "http_ip4and6.pcapng", "http_espn.pcapng", "http_206.pcap", "http_vlan0.pcap", "ftp_ipv6.pcap",
            "ethereum.pcap", "gnutella_scan.pcap", "mining.pcapng", "netflix.pcap", "vlan_bot.pcap"]
# Excluded: vlan_collisions.pcap, where tshark merges the connections of different VLANs; the tutorial, whose sequence
# numbers are all 0.

# (capture, ports of sender and receiver, fact): why tshark differs
DIFFERENT = {
    ("http_206.pcap", 80, 3254, "going back"):
        "two duplicate acknowledgements asked for them more than 20 ms before: tshark goes by time and calls them out of order",
    ("http_206.pcap", 3254, 80, "full"):
        "the server sends beyond the window; tshark counts only segments that end exactly at its edge",
    ("zerowindow_dead.pcapng", 80, 38760, "in flight"): "nothing was acknowledged before, so the start is a guess",
    ("ethereum.pcap", 30303, 56660, "probes"): "tshark takes the zero window of a RST for a closed window",
    ("mining.pcapng", 9999, 49307, "episodes"): "the SYN-ACK announces window 0, the update comes 27.61 ms after the handshake",
}
ONE_FLOW = [word for state in ("new", "bgn", "est", "abrt") for word in (f"--timeout-{state}", "24h")]
ONE_FLOW += ["--abort-count", "4294967295"]

FIELDS = ["ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "vlan.id", "tcp.flags",
          "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.window_size_value", "tcp.window_size",
          "tcp.window_size_scalefactor", "tcp.stream", "frame.number", "frame.time_epoch"]
MARKS = ["zero_window", "zero_window_probe", "zero_window_probe_ack", "keep_alive", "window_update", "window_full",
         "retransmission", "spurious_retransmission", "out_of_order", "bytes_in_flight", "initial_rtt", "lost_segment",
         "ack_lost_segment", "duplicate_ack"]
FIN, SYN, RST, ACK = 1, 2, 4, 16

Packet = collections.namedtuple("Packet", "flags seq ack len raw window factor stream number time_ns marks")


def mark_of(text):
    return text not in ("", "0", "False")


@functools.cache
def packets_of(name):
    """All TCP packets of the capture in order, by direction"""
    directions = collections.defaultdict(list)
    fields = FIELDS + [f"tcp.analysis.{mark}" for mark in MARKS]
    for row in tshark_fields(DIRECTORY / name, "tcp.window_size_value", fields):
        source, source6, port, peer, peer6, peer_port, vlan, flags, *numbers = row[:len(FIELDS)]
        marks = dict(zip(MARKS, row[len(FIELDS):]))
        seq, ack, length, raw, window, factor = (int(number or 0) for number in numbers[:6])
        key = (source or source6, int(port), peer or peer6, int(peer_port), int(vlan.split(",")[-1] or 0))
        time_ns = int(numbers[8].replace(".", ""))  # tshark prints all nine digits
        directions[key].append(Packet(int(flags, 16), seq, ack, length, raw, window, factor, numbers[6], int(numbers[7]),
                                      time_ns, marks))
    return directions


@functools.cache
def sides_of(name):
    """The sides of all records, by direction. Directions that are in more than one flow are left out."""
    done = run_agent("replay", "-q", *ONE_FLOW, DIRECTORY / name)
    assert done.exit_code == 0, done.stderr
    found = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        a, b = record["a"], record["b"]
        for side, peer in ((a, b), (b, a)):
            if side and peer:
                found[(side["ip"], side["port"], peer["ip"], peer["port"], record["vlan"] or 0)].append(side)
    return {key: sides[0] for key, sides in found.items() if len(sides) == 1}


def reverse(key):
    return (key[2], key[3], key[0], key[1], key[4])


def is_one_connection(directions, key):
    """Whether the direction is one connection: tshark starts a new one when ports are reused, our flow does not."""
    return len({packet.stream for packet in directions[key] + directions.get(reverse(key), [])}) == 1


def compare(name, what, fact, expected):
    """Compares fact(side) with expected(packets of the direction, packets of the reverse direction) for every side.

    expected returns None where tshark gives no answer.
    """
    directions, different = packets_of(name), []
    for key, side in sides_of(name).items():
        if key not in directions or not is_one_connection(directions, key) or (name, key[1], key[3], what) in DIFFERENT:
            continue
        theirs = expected(directions[key], directions.get(reverse(key), []))
        if theirs is not None and fact(side) != theirs:
            different.append((key, fact(side), theirs))
    assert not different, "(direction, ours, tshark's)"


def count(mark):
    return lambda packets, _: sum(mark_of(packet.marks[mark]) for packet in packets)


def window_updates(packets, _):
    """Segments without data that repeat sequence and acknowledgement number but announce another window.

    tshark 4.0 calls all of them window updates: a duplicate acknowledgement needs the same window. tshark 4.4 calls those
    with SACK blocks duplicate acknowledgements, whatever the window; then the window tells. In ethereum.pcap: 142, 577.
    """
    before = [None] + [packet.raw for packet in packets]
    return sum(mark_of(packet.marks["window_update"]) or (mark_of(packet.marks["duplicate_ack"]) and packet.raw != last)
               for packet, last in zip(packets, before))


def without_resets(packets):
    """We ignore the sequence numbers of RST segments, some of which carry text."""
    return [packet for packet in packets if not packet.flags & RST]


def episodes(packets, peers):
    """(number, total ns, longest ns) of the times during which the window was closed, from tshark's fields of each packet"""
    own, known_ack, since, peer_end, lasted = {each.number for each in packets}, None, None, None, []
    for packet in sorted(packets + peers, key=lambda each: each.number):
        ended = bool(packet.flags & RST)
        if packet.number in own and packet.flags & (SYN | RST | ACK) == ACK:
            if known_ack is not None and (packet.ack - known_ack) % 2**32 >= 2**31:
                continue  # stale
            known_ack = packet.ack
            ended = packet.raw > 0 or packet.flags & FIN or packet.ack == peer_end
            if not ended and since is None:
                since = packet.time_ns
        elif packet.number not in own and packet.flags & FIN:
            peer_end = (packet.seq + packet.len + 1) % 2**32
        if ended and since is not None:
            lasted.append(packet.time_ns - since)
            since = None
    if since is not None:
        lasted.append(max(packet.time_ns for packet in packets + peers) - since)
    return len(lasted), sum(lasted), max(lasted, default=0)


def episodes_of_side(side):
    stall = side["stall"]
    return stall["episodes"], round(stall["total"] * 10**9), round(stall["longest"] * 10**9)


def went_back(packets, _):
    kept = without_resets(packets)
    return (sum(mark_of(p.marks["retransmission"]) or mark_of(p.marks["spurious_retransmission"]) for p in kept),
            sum(mark_of(p.marks["out_of_order"]) for p in kept))


def in_flight(packets, peers):
    """None where segments are missing or out of order: tshark then gives no value for a while, or ignores SACK."""
    gaps = ("lost_segment", "ack_lost_segment", "retransmission", "spurious_retransmission", "out_of_order")
    if not peers or any(mark_of(p.marks[gap]) for p in packets + peers for gap in gaps):
        return None
    return max((int(p.marks["bytes_in_flight"] or 0) for p in without_resets(packets)), default=0)


def scale_factor(packets):
    """The factor of the last packet that has one; -1: unknown, -2: no scaling, None: there are only SYNs."""
    return next((p.factor for p in reversed(packets) if p.factor), None)


def scale(packets, _):
    factor = scale_factor(packets)
    return factor and {-1: "unknown", -2: "none"}.get(factor, factor.bit_length() - 1)


def windows_in_bytes(packets, _):
    windows = [p.window for p in packets if p.flags & ACK and not p.flags & (SYN | RST)]
    return (min(windows), max(windows)) if windows and scale_factor(packets) not in (None, -1) else None


@pytest.mark.parametrize("name", CAPTURES)
class TestAgainstTshark:
    def test_zero_windows_match(self, name):
        compare(name, "zero windows", lambda side: side["stall"]["zero_window_segments"], count("zero_window"))

    def test_episodes_match(self, name):
        compare(name, "episodes", episodes_of_side, episodes)

    def test_window_updates_match(self, name):
        compare(name, "updates", lambda side: side["window"]["updates"], window_updates)

    def test_payload_match(self, name):
        compare(name, "payload", lambda side: side["tcp"]["payload_bytes"], lambda packets, _: sum(p.len for p in packets))

    def test_retransmitted_and_out_of_order_segments_match(self, name):
        compare(name, "going back",
                lambda side: (side["tcp"]["retransmitted_segments"], side["tcp"]["out_of_order_segments"]), went_back)

    def test_probes_and_keep_alives_match(self, name):
        """Compares their sum: a keep-alive of tshark's counts as a probe here while the peer's window is closed."""
        sides, directions = sides_of(name), packets_of(name)
        for key, side in sides.items():
            if reverse(key) not in sides or (name, key[1], key[3], "probes") in DIFFERENT:
                continue
            theirs = sum(mark_of(p.marks["keep_alive"]) or mark_of(p.marks["zero_window_probe"]) for p in directions[key])
            assert side["tcp"]["keep_alives"] + sides[reverse(key)]["stall"]["probes"] == theirs, key

    def test_bytes_in_flight_match(self, name):
        compare(name, "in flight", lambda side: side["tcp"]["bytes_in_flight_max"] or 0, in_flight)

    def test_window_full_match(self, name):
        compare(name, "full", lambda side: side["window"]["full"] or 0,
                lambda _, peers: sum(mark_of(p.marks["window_full"]) for p in peers))

    def test_scale_match(self, name):
        compare(name, "scale", lambda side: "unknown" if side["window"]["scale"] is None else side["window"]["scale"], scale)

    def test_windows_in_bytes_match(self, name):
        compare(name, "windows", lambda side: (side["window"]["min"], side["window"]["max"]), windows_in_bytes)

    def test_handshake_match(self, name):
        """The two round trips add up to tshark's, which it measures even if the SYN was retransmitted."""
        sides, directions = sides_of(name), packets_of(name)
        for key, side in sides.items():
            other = sides.get(reverse(key))
            if not other or None in (side["tcp"]["handshake_rtt"], other["tcp"]["handshake_rtt"]):
                continue
            theirs = {p.marks["initial_rtt"] for p in directions[key] + directions[reverse(key)]} - {""}
            if is_one_connection(directions, key) and theirs:
                ours = side["tcp"]["handshake_rtt"] + other["tcp"]["handshake_rtt"]
                assert ours == pytest.approx(float(theirs.pop()), abs=2e-6), key


def test_the_captures_cover_every_fact():
    """Comparing zeros with zeros proves nothing."""
    marks = collections.Counter()
    for name in CAPTURES:
        for packets in packets_of(name).values():
            for packet in packets:
                marks.update(mark for mark in MARKS if mark_of(packet.marks[mark]))
    assert marks["zero_window"] > 50 and marks["initial_rtt"] > 1000 and marks["bytes_in_flight"] > 1000
    assert min(marks[mark] for mark in ("keep_alive", "window_update", "retransmission", "out_of_order")) > 5, marks


def test_a_flow_cut_during_a_stall_names_the_flow_that_it_continues():
    """The probes come at growing intervals; the default timeout of 1 s cuts the flow between them."""
    records = [json.loads(line) for line in run_agent("replay", "-q", DIRECTORY / "zerowindow_dead.pcapng").stdout.splitlines()]
    assert [(record["flow_id"], record["continues"]) for record in records] == [(1, None), (2, 1), (3, 2), (4, 3)]
    reader = [record["a"] or record["b"] for record in records]
    assert [side["stall"]["open"] for side in reader] == [True] * 4
    assert [side["stall"]["probes"] for side in reader] == [0, 1, 1, 1]


def test_no_analysis_leaves_its_fields_null():
    records = [json.loads(line) for line in
               run_agent("replay", "-q", "--no-analysis", DIRECTORY / "zerowindow_recovery.pcapng").stdout.splitlines()]
    assert [record["a"][group] for record in records for group in ("stall", "window", "tcp")] == [None] * 3 * len(records)
    assert sum(record["a"]["zero_window_count"] for record in records) == 1
