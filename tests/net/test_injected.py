# SPDX-License-Identifier: Apache-2.0
"""Segments injected into a real connection in a stall: the kernel ignores them, and so does the analysis."""
import ipaddress
import re
import struct

import pytest

from leftovers import LONG
from network import TIMEOUT, run, wait_until
from test_live_view import find, flows, resume, stall

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("nstat")]

SYN, RST, ACK = 0x02, 0x04, 0x10
FAR = 500_000_000
ETHERNET, IP = 14, 20


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def last_sent(frames, connection):
    """The newest frame of the client, and the numbers of its next segment: (Ethernet header, seq, ack)"""
    ports = connection.endpoint("client")[1], connection.endpoint("server")[1]
    found = None
    while True:
        try:
            frame = frames.recv(65536)
        except BlockingIOError:
            break
        if struct.unpack_from("!HH", frame, ETHERNET + IP) == ports and frame[ETHERNET + IP + 13] == ACK:
            found = frame
    assert found, "the client sent no acknowledgement"
    length, = struct.unpack_from("!H", found, ETHERNET + 2)
    seq, ack, offset = struct.unpack_from("!IIB", found, ETHERNET + IP + 4)
    return found[:ETHERNET], seq + length - IP - 4 * (offset >> 4), ack


def segment(ethernet, connection, flags, seq, ack):
    """A segment of the client, with valid checksums."""
    (source, port), (destination, peer_port) = connection.endpoint("client"), connection.endpoint("server")
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    tcp = struct.pack("!HHIIBBHHH", port, peer_port, seq % 2**32, ack % 2**32, 5 << 4, flags, 60000, 0, 0)
    tcp_sum = checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, IP + len(tcp), 0, 0, 64, 6, 0)
    ip = ip[:10] + struct.pack("!H", checksum(ip + addresses)) + addresses
    return ethernet + ip + tcp[:16] + struct.pack("!H", tcp_sum) + tcp[18:]


def challenges(host):
    """Challenge ACKs that the host's kernel sent in answer to a SYN."""
    text = run(*host.inside("nstat", "-a", "-z", "-s", "TcpExtTCPSYNChallenge")).stdout
    return int(re.search(r"TcpExtTCPSYNChallenge\s+(\d+)", text)[1])


def test_injected_segments_change_no_stall(topology, start_agent):
    topology.bridged(offload=False)
    agent = start_agent(topology.server, "s0", "--profile", "monitor", *LONG).wait_attached("s0")
    frames = topology.packet_socket(topology.client, "c0")
    connection = stall(topology)
    ethernet, seq, ack = last_sent(frames, connection)

    def is_open():
        return find(flows(topology.server), connection)["b"]["stall"]["open"]

    assert wait_until(is_open)
    episodes = find(flows(topology.server), connection)["b"]["stall"]["episodes"]
    for flags, number, acknowledged in (RST, seq + FAR, 0), (ACK, seq, ack + FAR), (SYN, seq + FAR, 0):
        frames.send(segment(ethernet, connection, flags, number, acknowledged))
        assert is_open()
    assert wait_until(lambda: find(flows(topology.server), connection)["a"]["tcp"]["ignored_segments"] >= 3), \
        find(flows(topology.server), connection)
    assert wait_until(lambda: challenges(topology.server) >= 1)
    now = find(flows(topology.server), connection)
    assert now["b"]["stall"]["open"] and now["b"]["stall"]["episodes"] == episodes
    resume(connection)
    for sender, receiver in (connection.client, connection.server), (connection.server, connection.client):
        sender.settimeout(TIMEOUT)
        receiver.settimeout(TIMEOUT)
        sender.sendall(b"alive")
        assert receiver.recv(100) == b"alive"
    outcome = agent.stop()
    record, = outcome.records
    assert (record["a"]["tcp"]["ignored_segments"], record["b"]["tcp"]["ignored_segments"]) == (3, 0)
    assert record["b"]["stall"]["last_ended"] == "resumed"
