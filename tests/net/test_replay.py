# SPDX-License-Identifier: Apache-2.0
"""Captures of real traffic through a veth: every packet is accounted for and every zero window is counted."""
import pytest

from agent import sides
from captures import DIRECTORY, count_frames, facts_of, facts_of_records, replay

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tcpreplay", "tshark", "capinfos")]

CAPTURES = ["zerowindow_recovery.pcapng", "http_206.pcap", "gnutella_scan.pcap", "vlan_bot.pcap", "ftp_ipv6.pcap"]


@pytest.fixture(params=["native", "generic"])
def mode(request):
    return request.param


@pytest.fixture(params=CAPTURES)
def replayed(request, wire, watch, mode):
    """(name of the capture, packets sent, outcome of the agent)"""
    agent = watch(wire, "--mode", mode)
    assert f"attached to {wire.RIGHT} in {mode} mode" in agent.stderr()
    sent = replay(wire, request.param)
    return request.param, sent, agent.stop()


def with_peers(senders, packets):
    """Adds the peer where the peer sent nothing: only the capture has it."""
    whole = {(ip, port, vlan): peer for ip, port, *peer, vlan in senders}
    filled = packets.__class__()
    for (ip, port, peer, peer_port, vlan), count in packets.items():
        if peer is None:
            peer, peer_port = whole[ip, port, vlan]
        filled[ip, port, peer, peer_port, vlan] += count
    return filled


def test_replay_accounts_for_every_packet(replayed):
    name, sent, outcome = replayed
    facts = facts_of(name)
    assert outcome.exit_code == 0, outcome.stderr
    assert sent == facts.frames == count_frames(DIRECTORY / name)

    report = outcome.report
    assert outcome.packets_in_records() + sum(outcome.packets_elsewhere().values()) == sent
    assert outcome.packets_elsewhere() == {}, "these captures contain only well-formed TCP"
    assert report["packets seen"] == sent
    assert report["tcp packets"] == facts.packets.total()

    packets, zero_windows = facts_of_records(outcome.records)
    assert with_peers(facts.packets, packets) == facts.packets
    assert with_peers(facts.packets, zero_windows) == facts.zero_windows
    assert report["below threshold"] == facts.zero_windows.total()

    assert report["flows"] == report["a flows"] == len(outcome.records)
    assert report["a flows"] + report["b flows"] == len(sides(outcome.records))
    assert report["tcpWinStat"] == aggregate(outcome, lambda side: int(side["stat"], 16))
    assert report["tcpWinState"] == aggregate(outcome, lambda side: side["state_code"])


def aggregate(outcome, bits):
    value = 0
    for side in sides(outcome.records):
        value |= bits(side)
    return value
