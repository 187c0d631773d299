# SPDX-License-Identifier: Apache-2.0
"""Both directions of real TCP connections: the agent, the sockets and the devices count the same.

The agent is stopped while the connections are open and idle. All of their packets have been counted by then, so the
numbers are exactly equal.
"""
import collections
import re
import socket
import struct

import pytest

from agent import HOOKS, sides
from leftovers import LONG
from network import TIMEOUT, wait_until
from topology import ETHERNET_HEADER, Counted, headers

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool")]

INCOMING_HOOK = {"native": "xdp", "generic": "xdp", "tcx": "tc_ingress", "clsact": "tc_ingress"}
ALL_HOOKS = pytest.mark.parametrize("hook", HOOKS)
OFFLOAD = pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
UP, DOWN = 700_001, 400_003  # bytes: many GSO frames, not a multiple of the segment size
DEVICE = {"client": "c0", "server": "s0"}
OTHER = {"client": "server", "server": "client"}


@pytest.fixture
def attach(start_agent):
    """attach(host, devices, options...): an Agent that watches these devices"""
    def attached(host, devices, *options, wait=None):
        return start_agent(host, *devices, *options, *LONG).wait_attached(*(wait or devices))
    return attached


def totals(records):
    """{(ip, port): (packets, bytes)} sent by each endpoint, summed over all records"""
    sums = collections.Counter()
    for side in sides(records):
        sums[side["ip"], side["port"], "packets"] += side["packets"]
        sums[side["ip"], side["port"], "bytes"] += side["bytes"]
    return {key[:2]: (sums[*key[:2], "packets"], sums[*key[:2], "bytes"]) for key in sums}


def expected(*connections):
    return {connection.endpoint(side): connection.on_the_wire(side)
            for connection in connections for side in ("client", "server")}


def forwarded(outcome):
    found = re.search(r"^Forwarded frames, counted where they came in: (\d+)$", outcome.stderr, re.MULTILINE)
    return int(found[1]) if found else 0


def stop_quiet(agent, *connections):
    """Stops the agent; no packet may arrive meanwhile. Returns its outcome."""
    outcome = agent.stop()
    assert outcome.exit_code == 0
    assert all(connection.is_quiet() for connection in connections)
    assert not [name for name in outcome.packets_elsewhere() if name.startswith("lost ")]
    return outcome


def exchange(topology, versions=(4, 6)):
    """Open connections, one per IP version, on which both sides have sent and read"""
    connections = [topology.connect(version) for version in versions]
    for number, connection in enumerate(connections):
        connection.transfer(UP + number, DOWN + number)
    return connections


def check_device(before, after, received, sent, received_header):
    """Compares with the device's counters of packets and bytes received and sent."""
    for start, end, counted, header in zip(before, after, (received, sent), (received_header, ETHERNET_HEADER)):
        packets, volume = (sum(values) for values in zip(*counted))
        assert (end[0] - start[0], end[1] - start[1]) == (packets, volume + packets * header)


def check_merged(connection, side, counted):
    """Generic XDP sees frames after GRO: fewer headers, the same payload."""
    packets, payload = connection.sent(side)
    seen_packets, seen_bytes = counted
    assert 0 < seen_packets < packets
    assert seen_bytes == payload + headers(connection.version, seen_packets)


def check_end_host(topology, attach, end, hook, offload):
    topology.pair(offload)
    host, device = getattr(topology, end), DEVICE[end]
    agent = attach(host, [device], *HOOKS[hook])
    before = host.counters(device)
    connections = exchange(topology)
    after = host.counters(device)
    outcome = stop_quiet(agent, *connections)

    counted, wire = totals(outcome.records), expected(*connections)
    assert len(outcome.records) == len(connections)
    assert {tuple(record["hooks"]) for record in outcome.records} == {(INCOMING_HOOK[hook], "tc_egress")}
    assert forwarded(outcome) == 0
    if hook == "generic" and offload:
        for connection in connections:
            incoming = connection.endpoint(OTHER[end])
            check_merged(connection, OTHER[end], counted.pop(incoming))
            del wire[incoming]
    assert counted == wire
    if not offload:
        received, sent = ([counted[connection.endpoint(side)] for connection in connections] for side in (OTHER[end], end))
        # With native XDP, a veth counts received frames without their Ethernet header.
        check_device(before, after, received, sent, 0 if hook == "native" else ETHERNET_HEADER)


@ALL_HOOKS
@OFFLOAD
def test_a_client_counts_both_directions(hook, offload, topology, attach):
    check_end_host(topology, attach, "client", hook, offload)


@pytest.mark.parametrize("hook", ["native", "clsact"])
def test_a_server_counts_both_directions(hook, topology, attach):
    check_end_host(topology, attach, "server", hook, True)


@pytest.mark.parametrize("direction, seen", [("ingress", "server"), ("egress", "client")])
def test_direction_limits_the_agent_to_one_direction(direction, seen, topology, attach):
    topology.pair()
    agent = attach(topology.client, ["c0"], "--mode", "tc", "--direction", direction)
    connection, = exchange(topology, [4])
    outcome = stop_quiet(agent, connection)

    assert totals(outcome.records) == {connection.endpoint(seen): connection.on_the_wire(seen)}
    assert [record["hooks"] for record in outcome.records] == [[f"tc_{direction}"]]


def check_counted_once(topology, agent):
    """Every packet passes two watched devices and is counted at the first. Returns the outcome of the agent."""
    connections = exchange(topology)
    outcome = stop_quiet(agent, *connections)
    wire = expected(*connections)
    assert len(outcome.records) == len(connections)
    assert totals(outcome.records) == wire
    assert forwarded(outcome) == sum(packets for packets, _ in wire.values())
    return outcome


@pytest.mark.parametrize("hook, devices", [
    ("native", ["r0", "r1"]), ("tcx", ["r0", "r1"]), ("clsact", ["r0", "r1"]), ("tcx", ["any"])])
def test_a_router_counts_forwarded_packets_once(hook, devices, topology, attach):
    topology.routed(offload=False)
    outcome = check_counted_once(topology, attach(topology.router, devices, *HOOKS[hook], wait=["r0", "r1"]))
    assert {(record["in_iface"], *record["hooks"]) for record in outcome.records} == {("r0", INCOMING_HOOK[hook])}


@pytest.mark.parametrize("hook", ["native", "tcx"])
def test_a_router_counts_forwarded_gro_frames_once(hook, topology, attach):
    topology.routed(offload=True)
    agent = attach(topology.router, ["r0", "r1"], *HOOKS[hook])
    connections = exchange(topology)
    outcome = stop_quiet(agent, *connections)

    assert totals(outcome.records) == expected(*connections)
    assert 0 < forwarded(outcome) < sum(packets for packets, _ in expected(*connections).values())


@pytest.mark.parametrize("hook", ["native", "tcx"])
def test_per_interface_counts_forwarded_packets_on_both_interfaces(hook, topology, attach):
    topology.routed()
    agent = attach(topology.router, ["r0", "r1"], "--per-interface", *HOOKS[hook])
    connections = exchange(topology)
    outcome = stop_quiet(agent, *connections)

    assert len(outcome.records) == 2 * len(connections)
    for device in ("r0", "r1"):
        own = [record for record in outcome.records if record["in_iface"] == device]
        assert totals(own) == expected(*connections), device
    assert forwarded(outcome) == 0


@pytest.mark.parametrize("hook", ["native", "clsact"])
def test_one_interface_of_a_router_sees_both_directions(hook, topology, attach):
    topology.routed()
    agent = attach(topology.router, ["r0"], *HOOKS[hook])
    connections = exchange(topology)
    outcome = stop_quiet(agent, *connections)

    assert len(outcome.records) == len(connections)
    assert totals(outcome.records) == expected(*connections)
    assert forwarded(outcome) == 0


@pytest.mark.parametrize("hook", ["native", "tcx"])
def test_bridge_ports_count_forwarded_packets_once(hook, topology, attach):
    topology.bridged(offload=False)
    check_counted_once(topology, attach(topology.bridge, ["p0", "p1"], *HOOKS[hook]))


@pytest.mark.parametrize("hook", ["generic", "tcx"])
def test_a_bridge_device_sees_only_its_own_connections(hook, topology, attach):
    topology.bridged(offload=False)
    agent = attach(topology.bridge, ["br0"], *HOOKS[hook])
    passing, = exchange(topology, [4])
    own = topology.connect(4, server=topology.bridge, address=topology.bridge_address)
    own.transfer(UP, DOWN)
    outcome = stop_quiet(agent, passing, own)

    assert totals(outcome.records) == expected(own)


@pytest.mark.parametrize("devices", [["lo"], ["any"]], ids=["lo", "any"])
def test_loopback_packets_are_counted_once(devices, topology, attach):
    topology.alone()
    agent = attach(topology.client, devices, "--mode", "tc", wait=["lo"])
    connections = exchange(topology, [4, 4])
    outcome = stop_quiet(agent, *connections)

    assert totals(outcome.records) == expected(*connections)


def windows_sent(packets, source):
    """Raw windows of the TCP packets that an IPv4 host sent, from its packet socket"""
    windows = []
    while True:
        try:
            frame, address = packets.recvfrom(65536)
        except BlockingIOError:
            return windows
        if address[2] == socket.PACKET_OUTGOING and frame[26:30] == socket.inet_aton(source):
            windows.append(struct.unpack_from("!H", frame, ETHERNET_HEADER + 20 + 14)[0])


def fill(connection):
    """Writes until the other side, which does not read, has closed its window. Returns the number of bytes written."""
    amount = 0
    connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # quickly read in the end
    connection.client.setblocking(False)

    def closed():
        nonlocal amount
        try:
            amount += connection.client.send(bytes(4096))
        except BlockingIOError:
            pass
        return Counted(connection.client).snd_wnd == 0

    assert wait_until(closed), "the window stays open"
    return amount


@pytest.mark.parametrize("hook", ["native", "clsact"])
def test_zero_windows_are_seen_at_the_stalled_host(hook, topology, attach):
    """On the host whose application stops reading, the zero windows are in outgoing packets."""
    topology.pair()
    agent = attach(topology.server, ["s0"], *HOOKS[hook])
    packets = topology.packet_socket(topology.server, "s0")
    connection = topology.connect(4, receive_buffer=4096)
    amount = fill(connection)
    while amount:
        amount -= len(connection.server.recv(65536))
    assert connection.is_quiet_within(TIMEOUT)
    outcome = stop_quiet(agent, connection)

    windows = windows_sent(packets, topology.address[4])
    stalled, = [side for side in sides(outcome.records) if (side["ip"], side["port"]) == connection.endpoint("server")]
    writer, = [side for side in sides(outcome.records) if (side["ip"], side["port"]) == connection.endpoint("client")]
    assert stalled["packets"] == len(windows)
    assert stalled["zero_window_count"] == windows.count(0) > 0
    assert (stalled["window_min"], stalled["window_max"], stalled["window_last"]) == (0, max(windows), windows[-1])
    assert int(stalled["stat"], 16) & 0xc0 == 0x80, "below the threshold, but not aborted"
    assert writer["zero_window_count"] == 0
