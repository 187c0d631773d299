# SPDX-License-Identifier: Apache-2.0
"""Which interfaces are watched, changes to them while they are watched, and their kinds of frames."""
import dataclasses
import re
import struct
import sys

import pytest

from agent import run_agent
from foreign import compile_bpf
from frames import CLIENT, SERVER, from_client, from_server, send, send_from, tcp_frame
from network import run, wait_until

pytestmark = pytest.mark.needs_root

LONG = ("--timeout-est", "60s")
ETHERNET_HEADER = 14
DOT1Q, DOT1AD = 0x8100, 0x88a8
OTHER = dataclasses.replace(CLIENT, port=CLIENT.port + 1)

# Keeps the tun device open: writes an incoming frame to it, and sends an outgoing one by a packet socket.
THROUGH_TUN = """
import fcntl, os, socket, struct, sys
device, incoming, outgoing = sys.argv[1:]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", device.encode(), 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
os.write(tun, bytes.fromhex(incoming))
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind((device, 0))
packets.send(bytes.fromhex(outgoing))
"""

PUSH_TAG = """
static long (*push)(void *, unsigned short, unsigned short) = (void *)18;  // bpf_skb_vlan_push
__attribute__((section("tc"), used)) int tag(void *frame) { push(frame, __builtin_bswap16(0x8100), 5); return -1; }
"""


def attached_to(agent):
    return set(re.findall(r"attached to (\S+) ", agent.stderr()))


def line_about(agent, device):
    line, = [line for line in agent.stderr().splitlines() if f"attached to {device} " in line]
    return line


def packets(record):
    return tuple(side["packets"] if side else 0 for side in (record["a"], record["b"]))


def by_interface(outcome):
    """{interface: (end reason, packets of each side)}; each interface must have one record"""
    found = {record["in_iface"]: (record["end_reason"], packets(record)) for record in outcome.records}
    assert len(found) == len(outcome.records), outcome.stdout
    return found


def add_stacked(namespace, below):
    """Adds devices whose packets also pass another device, of the kinds that this kernel supports."""
    above = ("link", below)
    for kind, lower in {"bridge": (), "bond": (), "ifb": (), "macvlan": above, "vlan": above}.items():
        tag = ("id", "5") if kind == "vlan" else ()
        words = ("link", "add", "name", f"{kind}-a", *lower, "type", kind, *tag)
        made = namespace.ip(*words, check=False)
        assert made.returncode == 0 or "Unknown device type" in made.stderr, made.stderr
        if made.returncode == 0:
            namespace.set_up(f"{kind}-a")
    assert namespace.has_device("bridge-a") and namespace.has_device("macvlan-a")


def test_any_attaches_to_interfaces_that_are_up_and_that_come_up_later(wire, start_agent):
    wire.right.ip("link", "set", "dev", "lo", "up")
    wire.right.ip("tuntap", "add", "dev", "sleeping0", "mode", "tap")
    add_stacked(wire.right, wire.RIGHT)
    wire.right.add_pair("pair0", "pair1")
    wire.right.ip("link", "set", "dev", "pair1", "master", "bridge-a")
    at_start = {"lo", wire.RIGHT, "pair0", "pair1"}
    agent = start_agent(wire.right, "any", *LONG).wait_attached(*at_start)
    assert attached_to(agent) == at_start, "interfaces are attached in order of index, and the last one is"

    wire.right.ip("link", "add", "name", "macvlan-b", "link", wire.RIGHT, "type", "macvlan")
    wire.right.set_up("macvlan-b", "sleeping0")
    agent.wait_attached("sleeping0")
    wire.right.add_pair("new0", "new1")
    agent.wait_attached("new0", "new1")
    assert attached_to(agent) == at_start | {"sleeping0", "new0", "new1"}
    send_from(wire.right, "new1", from_client())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert by_interface(outcome) == {"new0": ("shutdown", (1, 0))}


def check_deletion(agent, wire, device, words):
    """Deletes the device where one flow came in, while another flow continues at the wire's end."""
    send_from(wire.right, f"{device}-peer", from_client())
    send(wire, tcp_frame(OTHER, SERVER))
    wire.right.ip("link", "delete", "dev", device)
    assert wait_until(lambda: "interface_gone" in agent.out.read_text()), "the record was not written at once"
    assert wait_until(lambda: words in agent.stderr()), agent.stderr()
    send(wire, tcp_frame(OTHER, SERVER))
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert by_interface(outcome) == {device: ("interface_gone", (1, 0)), wire.RIGHT: ("shutdown", (2, 0))}
    assert outcome.report["packets seen"] == 3


def test_any_survives_the_deletion_of_an_interface(wire, start_agent):
    wire.right.add_pair("gone0", "gone0-peer")
    agent = start_agent(wire.right, "any", *LONG).wait_attached(wire.RIGHT, "gone0", "gone0-peer")
    check_deletion(agent, wire, "gone0", "interface gone0 was deleted")


def test_the_agent_survives_the_deletion_of_one_of_two_interfaces(wire, start_agent):
    wire.right.add_pair("gone0", "gone0-peer")
    agent = start_agent(wire.right, "gone0", wire.RIGHT, *LONG).wait_attached(wire.RIGHT, "gone0")
    check_deletion(agent, wire, "gone0", "warning: interface gone0 was deleted; the others are still watched")


def test_any_skips_interfaces_of_another_agent(wire, watch, start_agent):
    holder = watch(wire, *LONG)
    wire.right.add_pair("free0", "free1")
    agent = start_agent(wire.right, "any").wait_attached("free0", "free1")
    send(wire, from_client())
    outcome = agent.stop()
    warning, = [line for line in outcome.stderr.splitlines() if "warning" in line]
    assert f"cannot attach to {wire.RIGHT}: another tcpwin-agent is watching it (process {holder.process.pid})" in warning
    assert (outcome.exit_code, outcome.errors, outcome.records) == (0, [], [])
    assert by_interface(holder.stop()) == {wire.RIGHT: ("shutdown", (1, 0))}


def test_any_waits_for_the_first_interface(wire, start_agent):
    wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
    agent = start_agent(wire.right, "any", *LONG)
    assert wait_until(lambda: "no interface is up: waiting for one" in agent.stderr()), agent.stderr()
    wire.right.set_up(wire.RIGHT)
    agent.wait_attached(wire.RIGHT)
    send(wire, from_client())
    assert by_interface(agent.stop()) == {wire.RIGHT: ("shutdown", (1, 0))}


def test_a_renamed_interface_is_still_watched(wire, watch):
    agent = watch(wire, *LONG)
    send(wire, from_client())
    wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
    wire.right.ip("link", "set", "dev", wire.RIGHT, "name", "renamed0")
    wire.right.set_up("renamed0")
    send(wire, from_client())
    outcome = agent.stop()
    assert by_interface(outcome) == {"renamed0": ("shutdown", (2, 0))}
    assert wire.right.xdp_programs("renamed0") == []


@pytest.mark.parametrize("mode", ["native", "tc"])
def test_counting_survives_link_down_and_mtu_changes(mode, wire, watch):
    """Both directions, jumbo frames included."""
    ends = ((wire.left, wire.LEFT), (wire.right, wire.RIGHT))
    agent = watch(wire, "--mode", mode, *LONG)
    send(wire, from_client())
    wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
    wire.right.set_up(wire.RIGHT)
    send(wire, from_client())
    for mtu in 9000, 1500:
        for namespace, device in ends:
            namespace.ip("link", "set", "dev", device, "mtu", mtu)
        send(wire, tcp_frame(CLIENT, SERVER, payload=bytes(mtu - 40)))
        send_from(wire.right, wire.RIGHT, tcp_frame(SERVER, CLIENT, payload=bytes(mtu - 40)))
    outcome = agent.stop()
    record, = outcome.records
    assert (record["a"]["packets"], record["a"]["bytes"]) == (4, 40 + 40 + 9000 + 1500)
    assert (record["b"]["packets"], record["b"]["bytes"]) == (2, 9000 + 1500)
    assert outcome.packets_elsewhere() == {}


@pytest.mark.parametrize("apart", [True, False], ids=["per-interface", "shared"])
def test_a_connection_on_two_interfaces_is_one_flow_unless_per_interface(apart, wire, start_agent):
    wire.right.add_pair("other0", "other1")
    options = ["--per-interface"] if apart else []
    agent = start_agent(wire.right, wire.RIGHT, "other0", *LONG, *options).wait_attached(wire.RIGHT, "other0")
    send(wire, from_client(), from_server())
    send_from(wire.right, "other1", from_client())
    send_from(wire.right, "other0", from_server(), from_server())
    outcome = agent.stop()
    expected = ({wire.RIGHT: ("shutdown", (1, 1)), "other0": ("shutdown", (1, 2))} if apart else
                {wire.RIGHT: ("shutdown", (2, 3))})
    assert by_interface(outcome) == expected


@pytest.mark.parametrize("mode", ["auto", "tc"])
def test_both_ends_of_a_veth_pair_count_each_packet_once(mode, wire, start_agent):
    """A packet that leaves one end is counted where it enters the other."""
    wire.right.add_pair("end0", "end1")
    agent = start_agent(wire.right, "end0", "end1", "--mode", mode, *LONG).wait_attached("end0", "end1")
    for end in "end0", "end1":
        assert "outgoing packets are counted at its peer" in line_about(agent, end)
    send_from(wire.right, "end1", from_client())
    send_from(wire.right, "end0", from_server(), from_server())
    outcome = agent.stop()
    assert by_interface(outcome) == {"end0": ("shutdown", (1, 2))}
    assert outcome.report["packets seen"] == 3


@pytest.fixture
def tun(wire):
    """A device in the wire's right namespace whose frames begin with the IP header"""
    wire.right.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    wire.right.set_up("tun0")
    return "tun0"


def test_frames_without_ethernet_headers_are_watched_by_tc(tun, wire, start_agent):
    agent = start_agent(wire.right, tun, *LONG).wait_attached(tun)
    said = line_about(agent, tun)
    assert "in tc mode" in said and "no native XDP: its frames have no Ethernet header" in said
    incoming, outgoing = (frame[ETHERNET_HEADER:].hex() for frame in (from_client("SYN"), from_server("SYN+ACK")))
    run(*wire.right.inside(sys.executable, "-c", THROUGH_TUN, tun, incoming, outgoing))
    outcome = agent.stop()
    record, = outcome.records
    assert (record["in_iface"], record["vlan"], packets(record)) == (tun, None, (1, 1))
    assert [(record[side]["ip"], record[side]["port"], record[side]["bytes"]) for side in "ab"] == [
        (CLIENT.ip, CLIENT.port, 40), (SERVER.ip, SERVER.port, 40)]
    assert outcome.packets_elsewhere() == {}


def test_xdp_is_refused_on_frames_without_ethernet_headers(tun, wire):
    outcome = run_agent("attach", tun, "--mode", "native", prefix=wire.right.inside())
    sentence, = outcome.errors
    assert outcome.exit_code == 69
    assert "native mode: its frames have no Ethernet header" in sentence and "--mode tc" in sentence


def tagged(frame, *tags):
    """The frame with VLAN tags (protocol, ID), the outer one first"""
    return frame[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + frame[12:]


@pytest.mark.parametrize("mode", ["native", "generic", "tc"])
def test_the_innermost_vlan_id_is_recorded(mode, wire, behind, watch):
    """In both directions. Linux strips the outer tag before tc sees the frame."""
    one, two = [(DOT1Q, 5)], [(DOT1AD, 100), (DOT1Q, 7)]
    agent = watch(wire, "--mode", mode, *LONG)
    for tags in [], one, two:
        send(wire, tagged(from_client(), *tags))
        send_from(wire.right, behind, tagged(from_server(), *tags), tagged(from_server(), *tags))
    outcome = agent.stop()
    counted = [(record["vlan"], packets(record)) for record in outcome.records]
    assert sorted(counted, key=str) == [(5, (1, 2)), (7, (1, 2)), (None, (1, 2))]
    assert {record["a"]["bytes"] for record in outcome.records} == {40}
    assert outcome.packets_elsewhere() == {}


@pytest.fixture
def tag_in_metadata(wire, tmp_path):
    """Frames sent from the left end carry VLAN tag 5 in the kernel's metadata, not in the frame, as from a vlan device."""
    compiled = compile_bpf(tmp_path, PUSH_TAG)
    run("tc", "-n", wire.left.name, "qdisc", "add", "dev", wire.LEFT, "clsact")
    run("tc", "-n", wire.left.name, "filter", "add", "dev", wire.LEFT, "egress", "bpf", "direct-action",
        "obj", compiled, "sec", "tc")


UNSEEN_BY_XDP = pytest.mark.xfail(strict=True, reason="XDP does not see a tag that the device stripped (rxvlan; veth: the "
                                  "peer's txvlan): vlan is null, and outgoing packets are in another record")


@pytest.mark.needs("clang", "tc")
@pytest.mark.parametrize("mode", [pytest.param("native", marks=UNSEEN_BY_XDP), "tc"])
def test_a_vlan_tag_in_the_metadata_is_recorded(mode, wire, tag_in_metadata, watch):
    agent = watch(wire, "--mode", mode, *LONG)
    send(wire, from_client())
    assert [(record["vlan"], packets(record)) for record in agent.stop().records] == [(5, (1, 0))]


@pytest.mark.needs("ethtool")
@pytest.mark.parametrize("offload", ["on", "off"])
def test_auto_mode_uses_tc_where_the_device_strips_vlan_tags(offload, wire, start_agent):
    """A veth with rxvlan says that it strips them."""
    made = wire.right.ip("link", "add", "link", wire.RIGHT, "name", "vlan5", "type", "vlan", "id", "5", check=False)
    if made.returncode != 0:
        pytest.skip(f"this kernel does not support vlan devices: {made.stderr.strip()}")
    run(*wire.right.inside("ethtool", "-K", wire.RIGHT, "rxvlan", offload))
    agent = start_agent(wire.right, wire.RIGHT, *LONG).wait_attached(wire.RIGHT)
    mode = {"on": "in tc mode (TCX) (it strips VLAN tags from the frames", "off": "in native mode;"}[offload]
    assert f"attached to {wire.RIGHT} {mode}" in agent.stderr()
    checked = run_agent("check", wire.RIGHT, prefix=wire.right.inside()).stdout
    assert {"on": "TCX for ingress", "off": "native XDP for ingress"}[offload] in checked


def test_any_counts_outgoing_packets_at_the_other_end_once_that_is_watched(wire, start_agent):
    """The first end of the veth pair was attached alone, with its outgoing packets."""
    agent = start_agent(wire.right, "any", *LONG)
    agent.wait_attached(wire.RIGHT)
    wire.right.ip("link", "add", "name", "early0", "type", "veth", "peer", "name", "late0")
    wire.right.set_up("early0")
    agent.wait_attached("early0")
    wire.right.set_up("late0")
    agent.wait_attached("late0")
    assert "attached to early0 in native mode; outgoing packets by TCX" in agent.stderr()
    assert wait_until(lambda: wire.right.tcx_programs("early0") == [])
    send_from(wire.right, "early0", from_client(), from_client())
    outcome = agent.stop()
    assert [packets(record) for record in outcome.records] == [(2, 0)]
