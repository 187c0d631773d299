# SPDX-License-Identifier: Apache-2.0
"""Segments that their receiver ignores or accepts, one at a time, in a stall (RFC 9293, 3.10.7.4; RFC 5961)."""
import pytest

from agent import run_agent
from captures import write_capture
from frames import Endpoint, tcp_frame

CLIENT, SERVER = Endpoint("192.0.2.10", 40000), Endpoint("198.51.100.20", 80)
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
# Both numbers after the handshake and 1000 bytes of the client, which close the server's window.
CLIENT_START, SERVER_START, DATA = 1000, 900_000, 1000
CLIENT_NEXT, SERVER_NEXT = CLIENT_START + 1 + DATA, SERVER_START + 1
NOTHING = {"ignored_segments": 0}

engines = pytest.mark.parametrize("engine", ["portable", pytest.param("kernel", marks=pytest.mark.needs_root)])


class Trace:
    """Builds a capture segment by segment; the IP id counts, so that nothing is a duplicate."""

    def __init__(self):
        self.times, self.frames = [], []

    def segment(self, at, sender, flags, seq, ack=0, window=1000, payload=b""):
        receiver = SERVER if sender == CLIENT else CLIENT
        self.times.append(at)
        self.frames.append(tcp_frame(sender, receiver, flags, window, payload, sequence=seq % 2**32, ack=ack % 2**32,
                                     ident=len(self.times)))
        return self

    def client(self, at, flags=ACK, seq=CLIENT_NEXT, ack=SERVER_NEXT, **more):
        return self.segment(at, CLIENT, flags, seq, ack, **more)

    def server(self, at, flags=ACK, seq=SERVER_NEXT, ack=CLIENT_NEXT, **more):
        return self.segment(at, SERVER, flags, seq, ack, **more)


def stalled():
    """The server's window is closed from 0.1 s on; windows are not scaled."""
    return Trace() \
        .client(0, SYN, CLIENT_START, 0).server(0.01, SYN | ACK, SERVER_START, CLIENT_START + 1) \
        .client(0.02, seq=CLIENT_START + 1).client(0.03, seq=CLIENT_START + 1, payload=bytes(DATA)).server(0.1, window=0)


def opened(trace):
    """The stall ends at 5.1 s, and the connection goes on."""
    return trace.server(5.1, window=1000).client(5.2, payload=bytes(100)).server(5.3, ack=CLIENT_NEXT + 100)


@pytest.fixture
def replay(tmp_path):
    """replay(trace, engine): (the flow record's side of the client, of the server, the Outcome)"""
    def replay(trace, engine):
        path = tmp_path / "trace.pcap"
        write_capture(path, trace.frames, trace.times)
        outcome = run_agent("replay", "--engine", engine, "--profile", "monitor", path)
        assert outcome.exit_code == 0, outcome.stderr
        record, = [record for record in outcome.records if record["event"] == "flow"]
        by_ip = {side["ip"]: side for side in (record["a"], record["b"])}
        return by_ip[CLIENT.ip], by_ip[SERVER.ip], outcome
    return replay


# Each comes at 2 s, in the stall: (sender, segment); the stall lasts 5 s.
IGNORED = {
    "RST beyond the window": ("client", dict(flags=RST, seq=CLIENT_NEXT + 500_000_000)),
    "SYN of new numbers, unanswered": ("client", dict(flags=SYN, seq=CLIENT_NEXT + 700_000_000, ack=0)),
    "SYN-ACK of new numbers": ("server", dict(flags=SYN | ACK, seq=SERVER_NEXT + 700_000_000)),
    "FIN beyond the window": ("client", dict(flags=FIN | ACK, seq=CLIENT_NEXT + 500_000_000)),
    "acknowledges what was not sent": ("server", dict(ack=CLIENT_NEXT + 500_000_000, window=60000)),
    "data beyond the window": ("client", dict(seq=CLIENT_NEXT + 500_000_000, payload=bytes(10))),
    "RST behind the window": ("client", dict(flags=RST, seq=CLIENT_NEXT - 500_000_000)),
}
KINDS = {RST: "rst", SYN: "syn", SYN | ACK: "syn", FIN | ACK: "fin"}


@engines
@pytest.mark.parametrize("case", IGNORED)
def test_ignored(case, engine, replay):
    sender, segment = IGNORED[case]
    trace = stalled()
    getattr(trace, sender)(2, **segment)
    client, server, outcome = replay(opened(trace), engine)
    assert (server["stall"]["episodes"], server["stall"]["last_ended"]) == (1, "resumed")
    assert server["stall"]["total"] == pytest.approx(5, abs=0.001)
    ignored = [side["tcp"]["ignored_segments"] for side in (client, server)]
    assert ignored == ([1, 0] if sender == "client" else [0, 1])
    kind = KINDS.get(segment.get("flags"), "other")
    assert {name: value for name, value in outcome.report.items() if "receiver ignores" in name and value} == \
        {f"{kind} segments that their receiver ignores": 1}


@engines
def test_rst_at_the_next_number_is_accepted(engine, replay):
    client, server, _ = replay(stalled().client(2, RST, CLIENT_NEXT), engine)
    assert (server["stall"]["episodes"], server["stall"]["last_ended"]) == (1, "reset")
    assert server["stall"]["total"] == pytest.approx(1.9, abs=0.001)
    assert client["tcp"]["ignored_segments"] == 0


@engines
def test_rst_in_the_window_but_not_at_the_next_number_is_ignored(engine, replay):
    """RFC 5961, 3.2"""
    trace = stalled().server(3, window=1000).client(4, RST, CLIENT_NEXT + 10).client(5, payload=bytes(100)) \
        .server(5.1, ack=CLIENT_NEXT + 100)
    client, server, _ = replay(trace, engine)
    assert client["tcp"]["ignored_segments"] == 1
    assert (server["stall"]["episodes"], server["stall"]["last_ended"]) == (1, "resumed")


@engines
def test_syn_that_is_answered_by_a_challenge_ack_is_ignored(engine, replay):
    trace = stalled().client(2, SYN, CLIENT_NEXT + 700_000_000, 0).server(2.01, window=0)
    client, server, _ = replay(opened(trace), engine)
    assert client["tcp"]["ignored_segments"] == 1
    assert server["stall"]["episodes"] == 1 and server["stall"]["total"] == pytest.approx(5, abs=0.001)


@engines
def test_syn_that_is_answered_by_a_syn_ack_begins_a_connection(engine, replay):
    begin, other = CLIENT_NEXT + 700_000_000, SERVER_NEXT + 300_000_000
    trace = stalled().client(2, SYN, begin, 0).server(2.01, SYN | ACK, other, begin + 1).client(2.02, seq=begin + 1, ack=other + 1)
    client, server, _ = replay(trace, engine)
    assert (server["stall"]["episodes"], server["stall"]["last_ended"]) == (1, "new_connection")
    assert [side["tcp"]["ignored_segments"] for side in (client, server)] == [0, 0]


@engines
def test_repeated_syn_is_a_retransmission(engine, replay):
    trace = Trace().client(0, SYN, CLIENT_START, 0).client(1, SYN, CLIENT_START, 0).server(1.01, SYN | ACK, SERVER_START, CLIENT_START + 1) \
        .client(1.02, seq=CLIENT_START + 1)
    client, _, _ = replay(trace, engine)
    assert client["tcp"]["ignored_segments"] == client["tcp"]["duplicates"] == 0


@engines
def test_old_segment_says_nothing_of_the_window(engine, replay):
    """It acknowledges less than the segment that closed the window."""
    trace = stalled().server(2, ack=CLIENT_START + 1, window=1000)
    _, server, _ = replay(opened(trace), engine)
    assert server["tcp"]["ignored_segments"] == 0
    assert server["stall"]["episodes"] == 1 and server["stall"]["total"] == pytest.approx(5, abs=0.001)


@engines
@pytest.mark.parametrize("flags", [RST, FIN | ACK], ids=["RST", "FIN"])
def test_the_timeout_does_not_shorten_after_an_ignored_end(flags, engine, replay):
    """The flow is one, although the next packet comes a minute later."""
    trace = stalled()
    for at, sender in (2, trace.client), (2.1, trace.server):
        number = CLIENT_NEXT if sender == trace.client else SERVER_NEXT
        sender(at, flags, seq=number + 500_000_000, **({"window": 0} if sender == trace.server else {}))
    trace.server(62, window=1000).client(62.1, payload=bytes(100)).server(62.2, ack=CLIENT_NEXT + 100)
    client, server, _ = replay(trace, engine)
    assert [side["tcp"]["ignored_segments"] for side in (client, server)] == [1, 1]
    assert server["stall"]["total"] == pytest.approx(61.9, abs=0.001)
