# SPDX-License-Identifier: Apache-2.0
"""From attaching to the end: signals, --duration, several interfaces, and nothing left attached."""
import signal

import pytest

from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, send_from, tcp_frame
from network import wait_until

pytestmark = pytest.mark.needs_root

MODES = pytest.mark.parametrize("mode", ["native", "generic"])
LONG = ("--timeout-est", "60s")


@MODES
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_every_flow_and_detaches(number, mode, wire, watch):
    agent = watch(wire, "--mode", mode, *LONG)
    assert len(wire.right.xdp_programs(wire.RIGHT)) == 1
    send(wire, from_client(), from_server())
    outcome = agent.stop(number)

    record, = outcome.records
    assert outcome.exit_code == 0
    assert outcome.errors == []
    assert record["end_reason"] == "shutdown"
    assert (record["a"]["packets"], record["b"]["packets"]) == (1, 1)
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_sigint_works_even_if_it_was_ignored_at_the_start(wire, start_agent):
    """Shells start background jobs with SIGINT ignored: `tcpwin-agent attach eth0 &` in a script, then `kill -INT`."""
    agent = start_agent(wire.right, wire.RIGHT, prefix=["sh", "-c", 'trap "" INT; exec "$@"', "sh"])
    agent.wait_attached(wire.RIGHT)
    assert agent.stop(signal.SIGINT).exit_code == 0


def test_the_poll_interval_does_not_delay_a_signal(wire, watch):
    agent = watch(wire, "--poll-interval", "1h", *LONG)
    send(wire, from_client())
    assert len(agent.stop().records) == 1


def test_duration_ends_the_agent(wire, watch):
    agent = watch(wire, "--duration", "5s", "--poll-interval", "1h", *LONG)
    send(wire, from_client())
    outcome = agent.wait()
    assert outcome.exit_code == 0
    assert [record["end_reason"] for record in outcome.records] == ["shutdown"]
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_idle_flow_is_written_while_watching(wire, watch):
    agent = watch(wire, "--timeout-est", "50ms", "--poll-interval", "10ms")
    send(wire, from_client())
    assert wait_until(lambda: "idle_timeout" in agent.out.read_text()), "no record of an idle flow"
    assert len(agent.stop().records) == 1


def test_auto_mode_prefers_native(wire, watch):
    agent = watch(wire)
    assert f"attached to {wire.RIGHT} in native mode" in agent.stderr()
    assert agent.stop().exit_code == 0


def test_auto_mode_falls_back_to_generic_and_says_so(wire, start_agent):
    """A bridge has no native XDP."""
    wire.right.ip("link", "add", "bridge0", "type", "bridge")
    agent = start_agent(wire.right, "bridge0").wait_attached("bridge0")
    assert "attached to bridge0 in generic mode (no native XDP: its driver does not support XDP)" in agent.stderr()
    assert agent.stop().exit_code == 0


@MODES
def test_a_jumbo_frame_is_counted(mode, wire, watch):
    """8000 bytes exceed one page: native XDP needs multi-buffer support (frags)."""
    for namespace, device in ((wire.left, wire.LEFT), (wire.right, wire.RIGHT)):
        namespace.ip("link", "set", "dev", device, "mtu", "9000")
    agent = watch(wire, "--mode", mode, *LONG)
    send(wire, tcp_frame(CLIENT, SERVER, payload=bytes(8000)))
    record, = agent.stop().records
    assert (record["a"]["packets"], record["a"]["bytes"]) == (1, 8040)


def test_a_killed_agent_leaves_nothing_attached(wire, watch):
    watch(wire).kill()
    assert wait_until(lambda: wire.right.xdp_programs(wire.RIGHT) == [])


def test_one_agent_watches_two_interfaces(wire, start_agent):
    """Both ends of one link: each packet is counted at the receiving end."""
    left, right = "end0", "end1"
    wire.left.add_pair(left, right)
    agent = start_agent(wire.left, left, right, *LONG).wait_attached(left, right)
    send_from(wire.left, left, from_client())
    send_from(wire.left, right, from_server(), from_server())
    outcome = agent.stop()
    record, = outcome.records
    assert record["in_iface"] == right, "the interface that saw the flow's first packet"
    assert (record["a"]["packets"], record["b"]["packets"]) == (1, 2)
    assert outcome.report["packets seen"] == 3
    assert wire.left.xdp_programs(left) == wire.left.xdp_programs(right) == []


def test_frames_other_than_tcp_are_counted_by_reason(wire, watch):
    ethernet = bytes.fromhex("020000000002020000000001")
    arp = ethernet + bytes.fromhex("0806") + bytes(46)
    udp = bytearray(from_client())
    udp[14 + 9] = 17
    offset = bytearray(from_client())
    offset[14 + 20 + 12] = 4 << 4
    agent = watch(wire)
    send(wire, arp, arp, bytes(udp), bytes(offset), from_client())
    outcome = agent.stop()

    assert outcome.packets_elsewhere() == {"rejected not_ip": 2, "rejected not_tcp": 1, "rejected tcp_data_offset": 1}
    assert outcome.report["packets seen"] == 5
    assert outcome.report["tcp packets"] == outcome.packets_in_records() == 1


def connections(count):
    """A packet of either side of so many connections"""
    clients = [Endpoint(CLIENT.ip, 41000 + i) for i in range(count)]
    return [frame for client in clients for frame in (tcp_frame(client, SERVER), tcp_frame(SERVER, client))]


def test_no_packet_is_lost_uncounted_when_the_table_is_full(wire, watch):
    """Ten connections, a table of four: each packet is in a record or counted as untracked."""
    agent = watch(wire, "--max-flows", "4", *LONG)
    send(wire, *connections(10))
    outcome = agent.stop()

    lost = outcome.packets_elsewhere()
    assert set(lost) == {"lost untracked_full"}
    assert outcome.packets_in_records() + lost["lost untracked_full"] == outcome.report["packets seen"] == 20
    assert len(outcome.records) >= 4
    assert "--max-flows" in outcome.stderr


def test_in_a_full_table_unanswered_flows_make_room(wire, watch):
    """Two connections and ten SYNs, a table of four: the SYNs share two places, and each has its record."""
    agent = watch(wire, "--max-flows", "4", *LONG)
    send(wire, *connections(2), *(tcp_frame(Endpoint("10.1.0.9", 42000 + i), SERVER, flags=0x02) for i in range(10)))
    outcome = agent.stop()

    assert outcome.packets_elsewhere() == {}
    assert outcome.packets_in_records() == 14
    ended = [(record["a"]["port"] if record["b"] is None else None, record["end_reason"]) for record in outcome.records]
    assert ended[:8] == [(42000 + i, "evicted") for i in range(8)]
    assert [reason for _, reason in ended[8:]] == 4 * ["shutdown"]
    assert "the flow table fills" in outcome.stderr and "the flow table is full" not in outcome.stderr
