# SPDX-License-Identifier: Apache-2.0
"""vlan-tracking: whether packets of one connection with different VLAN IDs are in one flow."""
import struct

import pytest

from agent import HOOKS, run_agent
from captures import DIRECTORY
from frames import from_client, from_server, send, send_from
from leftovers import LONG
from lines import parse_lines
from network import wait_until

BY_DIRECTION = DIRECTORY / "field" / "vlan_differs_by_direction.pcap"
MIRROR = DIRECTORY / "field" / "mirror_of_two_vlans.pcap"
CLIENT, SERVER = "192.0.2.10", "198.51.100.20"  # of the captures
APART, TOGETHER = ("--vlan-tracking", "yes"), ("--vlan-tracking", "no")
ETHERNET_HEADER, IP_HEADER = 14, 20

root = pytest.mark.needs_root
engines = pytest.mark.parametrize("engine", ["portable", pytest.param("kernel", marks=root)])


def tagged(vlan, frame):
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]


def fragments(frame, first_bytes):
    """The frame in two IPv4 fragments; first_bytes: of the first, a multiple of 8"""
    ethernet, ip, rest = frame[:ETHERNET_HEADER], frame[ETHERNET_HEADER:][:IP_HEADER], frame[ETHERNET_HEADER + IP_HEADER:]
    def fragment(offset, more, content):
        header = ip[:2] + struct.pack("!HHH", IP_HEADER + len(content), 7, more << 13 | offset // 8) + ip[8:]
        return ethernet + header + content
    return fragment(0, 1, rest[:first_bytes]), fragment(first_bytes, 0, rest[first_bytes:])


def replay(capture, *options, engine="portable"):
    outcome = run_agent("replay", "-q", "--engine", engine, "--profile", "monitor", *options, capture)
    assert outcome.exit_code == 0, outcome.stderr
    return [record for record in outcome.records if record["event"] == "flow"]


def places(records):
    """(vlan, vlans, packets of A and B) of each record"""
    return sorted(((record["vlan"], record["vlans"], packets(record)) for record in records), key=str)


def packets(record):
    return tuple(side["packets"] if side else 0 for side in (record["a"], record["b"]))


def side_of(record, ip):
    side, = [side for side in (record["a"], record["b"]) if side["ip"] == ip]
    return side


# ---- captures ----

@engines
def test_directions_on_different_vlans_are_one_connection(engine):
    record, = replay(BY_DIRECTION, *TOGETHER, engine=engine)
    assert (record["vlan"], record["vlans"], packets(record)) == (None, [10, 20], (20, 10))
    stall = side_of(record, SERVER)["stall"]
    assert (stall["episodes"], stall["probes"], stall["last_ended"]) == (1, 5, "resumed")
    assert stall["total"] == pytest.approx(7.205, abs=0.001)
    assert side_of(record, CLIENT)["stall"]["episodes"] == 0


@engines
def test_by_default_they_are_two(engine):
    for options in (), APART:
        assert places(replay(BY_DIRECTION, *options, engine=engine)) == [(10, [10], (20, 0)), (20, [20], (10, 0))]


@engines
def test_a_mirror_of_two_vlans_is_one_connection(engine):
    one, other = replay(MIRROR, *APART, engine=engine)
    assert (one["vlans"], other["vlans"]) == ([10], [20]) and packets(one) == packets(other)
    record, = replay(MIRROR, *TOGETHER, engine=engine)
    assert (record["vlan"], record["vlans"]) == (None, [10, 20])
    assert packets(record) == tuple(2 * count for count in packets(one))


def test_vlans_are_listed_without_stall_analysis():
    record, = replay(BY_DIRECTION, *TOGETHER, "--no-analysis")
    assert (record["vlans"], record["a"]["stall"]) == ([10, 20], None)


def test_columns_of_tranalyzer_and_packet_records(tmp_path):
    """A flow has no VLAN, a packet has its own."""
    file = tmp_path / "packets"
    rows = run_agent("replay", "-q", "--format", "t2", *TOGETHER, "--packets", file, BY_DIRECTION).stdout.splitlines()
    assert {row.split("\t")[5] for row in rows[1:]} == {"-"}
    replay(BY_DIRECTION, *TOGETHER, "--packets", file)
    seen = {(packet["src_ip"], packet["vlan"]) for packet in parse_lines(file.read_text())}
    assert seen == {(CLIENT, 10), (SERVER, 20)}


@pytest.mark.parametrize("capture", [BY_DIRECTION, MIRROR], ids=lambda path: path.stem)
def test_explain_names_both_vlans(capture, tmp_path):
    """From the capture and from its records."""
    records = tmp_path / "records"
    replay(capture, *TOGETHER, "--output", records)
    for arguments in (*TOGETHER, capture), (records,):
        outcome = run_agent("explain", *arguments)
        assert outcome.exit_code == 0
        assert "1 endpoint closed its window, in 1 flow." in outcome.stdout
        assert ", VLANs 10 and 20 (flow 1)." in outcome.stdout and "also seen" not in outcome.stdout
        assert f"{SERVER}:80 stopped reading from {CLIENT}:40000 once, for 7.2 s" in outcome.stdout


# ---- live ----

@root
@pytest.mark.parametrize("hook", HOOKS)
def test_live(hook, wire, behind, watch):
    agent = watch(wire, *LONG, *HOOKS[hook], *TOGETHER)
    send(wire, tagged(10, from_client("SYN")))
    send_from(wire.right, behind, tagged(20, from_server("SYN+ACK")), tagged(20, from_server()))
    outcome = agent.stop()
    assert places(outcome.records) == [(None, [10, 20], (1, 2))]
    assert outcome.packets_elsewhere() == {}


@root
@pytest.mark.parametrize("options, counted", [(TOGETHER, [(None, [10, 20], (2, 0))]), (APART, [(10, [10], (1, 0))])],
                         ids=["together", "apart"])
def test_fragments_on_different_vlans(options, counted, wire, watch):
    agent = watch(wire, *LONG, *options)
    first, later = fragments(from_client() + bytes(100), 64)
    send(wire, tagged(10, first), tagged(20, later))
    outcome = agent.stop()
    assert places(outcome.records) == counted
    assert outcome.packets_elsewhere() == ({} if options == TOGETHER else {"rejected later_fragment": 1})


@root
def test_live_flows_list_them(wire, watch):
    watch(wire, *LONG, *TOGETHER)
    send(wire, tagged(10, from_client()), tagged(20, from_server()))
    flows = lambda: run_agent("flows", "--json", prefix=wire.right.inside()).records
    assert wait_until(lambda: places(flows()) == [(None, [10, 20], (1, 1))]), flows()


@root
def test_set_changes_it(wire, watch):
    """Packets with a tag are in other flows from then on."""
    agent = watch(wire, *LONG)
    def change(value):
        outcome = run_agent("set", f"vlan-tracking={value}", prefix=wire.right.inside())
        assert outcome.exit_code == 0, outcome.stderr
    send(wire, tagged(10, from_client(window=0)))
    change("no")
    send(wire, tagged(10, from_client()), tagged(20, from_server()), from_server())
    change("yes")
    send(wire, tagged(10, from_client()), from_client())
    outcome = agent.stop()
    assert places(outcome.records) == [(10, [10], (2, 0)), (None, [10, 20], (2, 2))]
    assert outcome.packets_elsewhere() == {}


@root
@pytest.mark.needs("mount")
@pytest.mark.parametrize("before, after", [(APART, TOGETHER), (TOGETHER, APART)], ids=["to no", "to yes"])
def test_an_agent_takes_over_flows_of_the_other_setting(before, after, wire, persistent):
    frames = tagged(10, from_client()), tagged(20, from_server())
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, *before)).kill()
    send(wire, *frames)
    agent = persistent.attach(wire.right, wire.RIGHT, options=(*LONG, *after))
    assert "taken over" in agent.stderr()
    send(wire, *frames)
    assert agent.stop().exit_code == 0
    assert persistent.detach(wire.right).exit_code == 0
    assert places(persistent.records()) == [(10, [10], (1, 0)), (20, [20], (1, 0)), (None, [10, 20], (1, 1))]
