# SPDX-License-Identifier: Apache-2.0
"""Situations that people report (captures/field): the right values, in both engines and live."""
import pytest

from agent import run_agent
from captures import DIRECTORY, count_frames, replay
from leftovers import LONG

FIELD = DIRECTORY / "field"
CLIENT, SERVER = "192.0.2.10", "198.51.100.20"

# What the stall of plain_stall.pcap is, in every capture that contains it.
STALL = {"episodes": 1, "total": 7.205, "probes": 5, "probe_answers": 5, "last_ended": "resumed", "open": False}
ONE_IGNORED, NONE_IGNORED = {"ignored_segments": 1}, {"ignored_segments": 0}

# Capture: (stall of the server, tcp of the client, tcp of the server)
CASES = {
    "plain_stall": (STALL, NONE_IGNORED, NONE_IGNORED),
    "rst_out_of_window": (STALL, ONE_IGNORED, NONE_IGNORED),
    "ack_out_of_window": (STALL, NONE_IGNORED, ONE_IGNORED),
    "mirror_port_duplicates_5us": (STALL, {"duplicates": 20, "ignored_segments": 0}, {"duplicates": 10, "ignored_segments": 0}),
    "mirror_of_two_vlans": (STALL, {"duplicates": 20, "ignored_segments": 0}, {"duplicates": 10, "ignored_segments": 0}),
    "syn_captured_after_synack": (STALL, {"handshake_rtt": None, **NONE_IGNORED}, {"handshake_rtt": None, **NONE_IGNORED}),
    "port_reused_in_a_stall": ({"episodes": 1, "last_ended": "new_connection"}, NONE_IGNORED, NONE_IGNORED),
    "synack_window0_then_update": ({"episodes": 1, "total": 3.0, "probes": 3, "last_ended": "resumed"}, NONE_IGNORED, NONE_IGNORED),
    "synack_window0_never_opens": ({"episodes": 1, "last_ended": "reset", "open": False}, NONE_IGNORED, NONE_IGNORED),
}
SCALED = [name for name, (stall, *_) in CASES.items() if stall is STALL]
OPTIONS = {"mirror_of_two_vlans": ("--vlan-tracking", "no")}

root = pytest.mark.needs_root
engines = pytest.mark.parametrize("engine", ["portable", pytest.param("kernel", marks=root)])


def replayed(name, engine, *options):
    outcome = run_agent("replay", "--engine", engine, "--profile", "monitor", *OPTIONS.get(name, ()), *options,
                        FIELD / f"{name}.pcap")
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def only_flow(records):
    record, = [record for record in records if record["event"] == "flow"]
    return record


def side_of(record, ip):
    side, = [side for side in (record["a"], record["b"]) if side["ip"] == ip]
    return side


def picked(group, wanted):
    """The wanted fields of a group; times to a millisecond"""
    return {name: round(group[name], 3) if name == "total" else group[name] for name in wanted}


@engines
@pytest.mark.parametrize("name", CASES)
def test_values(name, engine):
    record = only_flow(replayed(name, engine).records)
    stall, *tcp = CASES[name]
    client, server = side_of(record, CLIENT), side_of(record, SERVER)
    assert picked(server["stall"], stall) == stall
    assert client["stall"]["episodes"] == 0
    for side, wanted in zip((client, server), tcp):
        assert picked(side["tcp"], wanted) == wanted
        assert side["tcp"]["retransmitted_segments"] == 0
        assert side["tcp"]["duplicates"] == wanted.get("duplicates", 0)
    assert client["packets"] + server["packets"] == count_frames(FIELD / f"{name}.pcap")


@engines
@pytest.mark.parametrize("name", SCALED)
def test_the_scale_of_both_sides_is_known(name, engine):
    record = only_flow(replayed(name, engine).records)
    assert [side["window"]["scale"] for side in (record["a"], record["b"])] == [7, 7]


@engines
@pytest.mark.parametrize("name, kind", [("rst_out_of_window", "rst segments"), ("ack_out_of_window", "other segments")])
def test_ignored_segments_are_reported_by_kind(name, kind, engine):
    report = replayed(name, engine).report
    assert {line: value for line, value in report.items() if "receiver ignores" in line and value} == \
        {f"{kind} that their receiver ignores": 1}


@engines
def test_duplicates_are_reported(engine):
    assert replayed("mirror_port_duplicates_5us", engine).report["duplicates"] == 30


@root
@pytest.mark.needs("tcpreplay")
@pytest.mark.parametrize("name", ["plain_stall", "rst_out_of_window", "ack_out_of_window", "syn_captured_after_synack"])
def test_live(name, wire, watch):
    """At the recorded speed. How long the stall lasts is the machine's matter, not less than recorded."""
    agent = watch(wire, "--profile", "monitor", *LONG)
    replay(wire, f"field/{name}.pcap", speed="--multiplier=1")
    record = only_flow(agent.stop().records)
    stall, *tcp = CASES[name]
    client, server = side_of(record, CLIENT), side_of(record, SERVER)
    for field in ("episodes", "probes", "probe_answers", "last_ended", "open"):
        assert server["stall"][field] == stall[field], field
    assert server["stall"]["total"] > 7
    for side, wanted in zip((client, server), tcp):
        assert picked(side["tcp"], wanted) == wanted
