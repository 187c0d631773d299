# SPDX-License-Identifier: Apache-2.0
"""Aborts of a flow and its reverse flow: the next packet cuts the flow, not the poll."""
import pytest

from agent import without_times
from frames import CLIENT, SERVER, from_client, from_server, send

pytestmark = pytest.mark.needs_root

# The first sweep comes after 10 s, later than the end of each test: only packets cut flows.
NO_POLL = ("--poll-interval", "10s")


def by_number(outcome):
    assert outcome.exit_code == 0, outcome.stderr
    assert sum(outcome.packets_elsewhere().values()) == 0
    return sorted(outcome.records, key=lambda record: record["flow_id"])


def facts(side):
    return side["ip"], side["packets"], side["zero_window_count"], side["stat"], side["state"]


def send_abort(wire):
    """The server first, so that the reverse flow exists; then two zero windows, which give both the ABRT timeout of 1 ms."""
    send(wire, from_server(window=1000), from_client(window=0), from_client(window=0), 0.005,
         from_client(window=700))


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_two_zero_windows_abort_both_directions(mode, wire, watch):
    agent = watch(wire, "--mode", mode, *NO_POLL)
    send_abort(wire)
    first, second = by_number(agent.stop())

    assert first["end_reason"] == "abort_timeout"
    assert facts(first["a"]) == (CLIENT.ip, 2, 2, "0xd0", "ABRT")
    assert facts(first["b"]) == (SERVER.ip, 1, 0, "0x10", "ABRT")
    assert (first["a"]["timeout"], first["b"]["timeout"]) == (0.001, 0.001)
    # A new flow: without a SYN it starts in EST, and all counters start at 0.
    assert facts(second["a"]) == (CLIENT.ip, 1, 0, "0x10", "EST")
    assert second["b"] is None
    assert second["a"]["timeout"] == 1.0
    assert (second["a"]["window_min"], second["a"]["window_max"]) == (700, 700)


def test_the_first_packet_after_an_abort_sets_the_directions_of_the_new_flow(wire, watch):
    """The server (port 80) sends first, so that the client is A again; its zero windows are counted from 0."""
    agent = watch(wire, *NO_POLL, "--timeout-est", "60s")
    send(wire, from_server(), from_client(window=0), from_client(window=0), 0.005,
         from_server(window=0), from_client(window=700))
    first, second = by_number(agent.stop())

    assert facts(first["a"]) == (CLIENT.ip, 2, 2, "0xd0", "ABRT")
    assert facts(second["a"]) == (CLIENT.ip, 1, 0, "0x10", "EST")
    assert facts(second["b"]) == (SERVER.ip, 1, 1, "0x90", "EST")
    assert second["end_reason"] == "shutdown"


def test_a_reverse_flow_that_appears_after_the_abort_keeps_the_flow_alive(wire, watch):
    """The server's first packet comes after the abort and has the EST timeout, so the pair stays alive."""
    agent = watch(wire, *NO_POLL, "--timeout-abrt", "400ms", "--timeout-est", "60s")
    send(wire, from_client(window=0), from_client(window=0), from_server(), 0.5, from_client())
    only, = by_number(agent.stop())

    assert facts(only["a"]) == (CLIENT.ip, 3, 2, "0xd0", "ABRT")
    assert facts(only["b"]) == (SERVER.ip, 1, 0, "0x10", "EST")


def test_one_zero_window_does_not_abort(wire, watch):
    agent = watch(wire, *NO_POLL, "--timeout-est", "60s")
    send(wire, from_server(), from_client(window=0), 0.005, from_client())
    only, = by_number(agent.stop())
    assert facts(only["a"]) == (CLIENT.ip, 2, 1, "0x90", "EST")


@pytest.mark.parametrize("abort_count, flows", [("2", 2), ("3", 1)])
def test_abort_count_is_configurable(abort_count, flows, wire, watch):
    agent = watch(wire, *NO_POLL, "--abort-count", abort_count, "--timeout-est", "60s")
    send_abort(wire)
    assert len(by_number(agent.stop())) == flows


@pytest.mark.parametrize("threshold, counted", [("0", 0), ("1", 2), ("701", 3), ("1001", 4)])
def test_window_threshold_is_configurable(threshold, counted, wire, watch):
    """Windows 1000, 0, 0, 700: those below the threshold count."""
    agent = watch(wire, *NO_POLL, "--win-threshold", threshold, "--abort-count", "100")
    send_abort(wire)
    outcome = agent.stop()
    assert outcome.report["below threshold"] == counted
    assert outcome.report["threshold"] == int(threshold)


def test_records_do_not_depend_on_the_poll_interval(make_wire, watch):
    """The same packets twice: one flow ends by abort, three by their idle timeout; the test waits for the last timeout."""
    steps = (from_server(), from_client(window=0), from_client(window=0), 0.005, from_client(), from_server(),
             1.5, from_client("SYN"), from_server("SYN+ACK"), from_client(), from_client("FIN+ACK"), from_server("FIN+ACK"),
             1.5, from_client("RST+ACK", 0), 1.5)
    results = []
    for interval in ("1ms", "10s"):
        wire = make_wire()
        agent = watch(wire, "--poll-interval", interval, "--timeout-est", "1s")
        send(wire, *steps)
        results.append([without_times(record) for record in by_number(agent.stop())])

    polled, cut = results
    assert [record["end_reason"] for record in cut] == ["abort_timeout", *["idle_timeout"] * 3]
    assert polled == cut
