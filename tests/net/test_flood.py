# SPDX-License-Identifier: Apache-2.0
"""A flood of SYNs from forged addresses must not hide real connections (tcpwin/pressure.h).

TCPWIN_FLOOD=PACKETS,SOURCES,CONNECTIONS,MAX_FLOWS runs the first test at another size.
"""
import collections
import os
import pathlib
import subprocess
import sys

import pytest

from live import SENDER
from stalled import ADDRESSES, READER, WRITER

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool")]
PEERS = pathlib.Path(__file__).with_name("flood_peers.py")
PACKETS, SOURCES, CONNECTIONS, MAX_FLOWS = map(int, os.environ.get("TCPWIN_FLOOD", "3000000,1000000,90,65536").split(","))
ALARM, STALL = 1, 3  # seconds
LIMIT = 120 + PACKETS // 100_000  # seconds
SYN = ("--flags", str(0x02))
VICTIM = {"ip": "192.0.2.1", "port": 80}  # of the flood, see live_traffic.h


def start_readers(processes, wire, count, stall):
    return processes(wire.left.inside(sys.executable, PEERS, "read", WRITER, count, stall), stdout=subprocess.PIPE)


def ports_of(reader, count):
    assert reader.wait(LIMIT) == 0
    ports = [int(line) for line in reader.stdout]
    assert len(ports) == count
    return ports


def by_event(outcome):
    events = collections.defaultdict(list)
    for line in outcome.records:
        events[line["event"]].append(line)
    return events


def check_books(outcome, events):
    """Each flow and each packet is in one place."""
    report, unanswered = outcome.report, events["unanswered"]
    unrecorded = {what: sum(line[f"unrecorded_{what}"] for line in unanswered) for what in ("flows", "packets")}
    last = events["stats"][-1]["totals"]
    assert unrecorded == {what: last[f"unrecorded_{what}"] for what in unrecorded}
    summarized = {what: sum(line[what] for line in unanswered) for what in ("flows", "packets")}
    finals = [flow for flow in events["flow"] if not flow["interim"]]
    recorded = sum(side["packets"] for flow in finals for side in (flow["a"], flow["b"]) if side)
    assert len(finals) + summarized["flows"] + unrecorded["flows"] == last["flows_created"]
    assert recorded + summarized["packets"] + unrecorded["packets"] == last["tracked"]
    assert last["tracked"] + sum(outcome.packets_elsewhere().values()) == report["packets seen"]
    assert sum(line["evicted"] for line in unanswered) + unrecorded["flows"] <= last["evicted_unanswered"]
    for line in unanswered:
        assert line["evicted"] + line["unanswered_timeout"] == line["flows"]
        assert sum(one["flows"] for one in line["receivers"]) + line["other_flows"] == line["flows"]


def is_whole(flows):
    """Whether the flows of a connection are one, from SYN to FIN, with its stall."""
    return (len(flows) == 1 and flows[0]["continues"] is None and "stall" in flows[0]["a"]["alarms"] and
            all({"SYN", "ACK", "FIN"} <= set(flows[0][side]["tcp_flags"]) for side in ("a", "b")) and
            flows[0]["b"]["tcp"]["payload_bytes"] >= 100_000)


def test_a_flood_hides_no_connection_and_no_stall(make_wire, watch, processes):
    """Connections from before, during and after the flood: each has one record from SYN to FIN, and its alarm."""
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--profile", "monitor", "--stall-alarm", f"{ALARM}s", "--max-flows", MAX_FLOWS,
                  "--mode", "native", "--stats-interval", "1s")
    server = processes(wire.right.inside(sys.executable, PEERS, "serve", WRITER), stdout=subprocess.PIPE)
    assert server.stdout.readline() == "listening\n"
    each = CONNECTIONS // 3
    before = start_readers(processes, wire, each, STALL)
    flood = processes(wire.left.inside(SENDER, "--device", wire.LEFT, "--packets", PACKETS, "--flows", SOURCES, *SYN),
                      stdout=subprocess.PIPE)
    during = start_readers(processes, wire, each, STALL)
    assert flood.wait(LIMIT) == 0
    after = start_readers(processes, wire, each, STALL)
    ports = [port for readers in (before, during, after) for port in ports_of(readers, each)]
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])

    events = by_event(outcome)
    check_books(outcome, events)
    connections = collections.defaultdict(list)
    for flow in events["flow"]:
        if READER in (flow["a"]["ip"], (flow["b"] or flow["a"])["ip"]) and not flow["interim"]:
            connections[flow["a"]["port"]].append(flow)
    alarms = collections.Counter(alarm["receiver"]["port"] for alarm in events["alarm"] if alarm["alarm"] == "stall")
    wrong = [connections[port] for port in ports if not is_whole(connections[port]) or not alarms[port]]
    assert wrong == [], f"{len(wrong)} of {len(ports)} connections"
    assert outcome.packets_elsewhere().get("lost untracked_full", 0) == 0

    if SOURCES > MAX_FLOWS:
        # More than once where the machine stands still for a second, in which the flood's flows end.
        assert outcome.stderr.count("the flow table fills") >= 1
        assert sum(line["flows"] + line["unrecorded_flows"] for line in events["unanswered"]) > SOURCES / 2
        assert {"ip": VICTIM["ip"], "port": VICTIM["port"]} in [
            {"ip": one["ip"], "port": one["port"]} for line in events["unanswered"] for one in line["receivers"]]
        assert [alarm["receiver"] for alarm in events["alarm"] if alarm["alarm"] == "syn_flood"] == [VICTIM]
        assert any(line["pressure"] for line in events["stats"])
        assert len(events["flow"]) < SOURCES / 100, collections.Counter(flow["end_reason"] for flow in events["flow"])
