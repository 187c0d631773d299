# SPDX-License-Identifier: Apache-2.0
"""Profiles, alarms and interim records, with a real connection whose reader stalls and with hand-made frames."""
import pytest

from agent import run_agent
from captures import DIRECTORY, write_capture
from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, tcp_frame
from stalled import ADDRESSES, READER, WRITER, stall

pytestmark = pytest.mark.needs_root

# Seconds. Long, so that the time that a loaded machine takes to fill the window matters little.
ALARMED, STALL = 1.0, 5.0


def address(endpoint):
    """Without the program that it belongs to, which test_attribution.py checks."""
    return {name: endpoint[name] for name in ("ip", "port")}


def by_event(outcome):
    assert outcome.exit_code == 0, outcome.stderr
    events = {"flow": [], "alarm": []}
    for line in outcome.records:
        events[line["event"]].append(line)
    return events["flow"], events["alarm"]


def test_a_stalled_reader_is_reported_at_both_ends(make_wire, start_agent, processes):
    """Both hosts see one episode, as long as the reader slept within a tenth, and raise an alarm while it lasts."""
    wire = make_wire(ADDRESSES)
    options = ("--profile", "monitor", "--stall-alarm", f"{ALARMED}s")
    agents = [start_agent(namespace, device, *options).wait_attached(device)
              for namespace, device in ((wire.left, wire.LEFT), (wire.right, wire.RIGHT))]
    slept = stall(processes, wire, STALL)
    for agent in agents:
        flows, alarms = by_event(agent.stop())
        flow, = flows
        reader, writer = sorted((flow["a"], flow["b"]), key=lambda side: side["ip"] != READER)
        assert reader["stall"]["longest"] == pytest.approx(slept, rel=0.1)
        assert reader["stall"]["total"] - reader["stall"]["longest"] < 0.1 * slept
        assert writer["stall"]["episodes"] == 0
        assert reader["alarms"] == ["stall"] and writer["alarms"] == []
        assert flow["end_reason"] in ("shutdown", "fin_timeout")
        assert {reader["state"], writer["state"]} == {"ABRT"}, "both have sent FIN"

        alarm, = alarms
        assert alarm["alarm"] == "stall" and alarm["flow_id"] == flow["flow_id"]
        assert alarm["community_id"] == flow["community_id"]
        assert address(alarm["receiver"]) == {"ip": READER, "port": reader["port"]}
        assert address(alarm["sender"]) == {"ip": WRITER, "port": writer["port"]}
        assert ALARMED <= alarm["stalled"] < reader["stall"]["longest"], "while the window was closed"
        assert alarm["stalled_since_ns"] + alarm["stalled"] * 1e9 == pytest.approx(alarm["time_ns"], abs=1000)
        assert flow["start_ns"] < alarm["time_ns"] < flow["end_ns"]


def slow_read(address, count):
    """`count` connections of one client, each with a closed window"""
    return [tcp_frame(Endpoint(address, 40000 + i), SERVER, window=0) for i in range(count)]


def test_a_host_that_stalls_more_flows_than_allowed_raises_an_alarm(wire, watch):
    agent = watch(wire, "--profile", "monitor", "--source-alarm", "5")
    send(wire, *slow_read("10.1.0.7", 8), *slow_read("10.1.0.8", 5), from_client(), from_server())
    flows, alarms = by_event(agent.stop())
    alarm, = alarms
    assert (alarm["alarm"], alarm["stalled_flows"], alarm["source_alarm"]) == ("stalled_flows", 6, 5)
    assert address(alarm["receiver"]) == {"ip": "10.1.0.7", "port": 40005}
    assert len(flows) == 14
    assert sorted(flow["a"]["port"] for flow in flows if flow["a"]["alarms"]) == [40005, 40006, 40007]


def trickle(address, count, window, size=1, rounds=3):
    """`count` connections of one client, which takes `size` bytes at a time and announces `window`, without scaling"""
    frames = []
    for port in range(40000, 40000 + count):
        client = Endpoint(address, port)
        frames += [tcp_frame(client, SERVER, "SYN", window, sequence=99),
                   tcp_frame(SERVER, client, "SYN+ACK", 5000, sequence=999, ack=100),
                   tcp_frame(client, SERVER, window=window, sequence=100, ack=1000)]
        for start in range(1000, 1000 + rounds * size, size):
            frames += [tcp_frame(SERVER, client, "ACK+PSH", 5000, bytes(size), sequence=start, ack=100),
                       tcp_frame(client, SERVER, window=window, sequence=100, ack=start + size)]
    return frames


@pytest.mark.parametrize("engine", ["live", "portable", "kernel"])
def test_windows_of_a_few_bytes_count_as_closed_ones(engine, wire, watch, tmp_path):
    """Slow reading without a window of zero (slowhttptest). A small window matters only if the sender fills it."""
    frames = [*trickle("10.1.0.7", 8, 1), *trickle("10.1.0.8", 8, 100, size=100), *trickle("10.1.0.9", 8, 100, size=10),
              *trickle("10.1.0.10", 8, 1000, size=1000), *trickle("10.1.0.11", 5, 1)]
    options = ("--profile", "monitor", "--source-alarm", "5")
    if engine == "live":
        agent = watch(wire, *options)
        send(wire, *frames)
        outcome = agent.stop()
    else:
        write_capture(tmp_path / "trickle.pcap", frames)
        outcome = run_agent("replay", tmp_path / "trickle.pcap", *options, "--engine", engine)
    flows, alarms = by_event(outcome)
    assert [(alarm["alarm"], alarm["stalled_flows"], address(alarm["receiver"])) for alarm in alarms] == [
        ("stalled_flows", 6, {"ip": ip, "port": 40005}) for ip in ("10.1.0.7", "10.1.0.8")]
    marked = [(flow["a"]["ip"], flow["a"]["port"]) for flow in flows if flow["a"]["alarms"]]
    assert sorted(marked) == [(ip, port) for ip in ("10.1.0.7", "10.1.0.8") for port in (40005, 40006, 40007)]
    assert {flow["a"]["stall"]["episodes"] for flow in flows} == {0}, "no window was closed"


def test_a_window_that_grows_again_no_longer_counts(wire, watch):
    agent = watch(wire, "--profile", "monitor", "--source-alarm", "5")
    grown = [tcp_frame(Endpoint("10.1.0.7", port), SERVER, window=2000, sequence=100, ack=1003) for port in range(40000, 40008)]
    again = trickle("10.1.0.7", 14, 1)[8 * 9:]  # six other ports
    send(wire, *trickle("10.1.0.7", 8, 1), *grown, *again)
    _, alarms = by_event(agent.stop())
    assert [(alarm["stalled_flows"], alarm["receiver"]["port"]) for alarm in alarms] == [(6, 40005), (6, 40013)]


def test_alarms_only_writes_only_flows_with_alarms(wire, watch):
    agent = watch(wire, "--alarms-only", "--abort-alarm", "yes")
    send(wire, from_server(), from_client(window=0), from_client(window=0),
         *[tcp_frame(Endpoint("10.1.0.9", port), SERVER) for port in range(1, 10)])
    outcome = agent.stop()
    flows, alarms = by_event(outcome)
    flow, = flows
    alarm, = alarms
    assert flow["a"]["alarms"] == ["abort_count"] and flow["b"]["alarms"] == []
    assert (alarm["alarm"], alarm["abort_count"], alarm["zero_window_count"]) == ("abort_count", 2, 2)
    assert alarm["flow_id"] == flow["flow_id"]
    assert outcome.report["flows"] == 10
    assert "Alarms in flows: 1 [10.00%]" in outcome.stderr
    assert outcome.report["alarms reported"] == 1


def test_terminate_ends_the_flow_at_the_packet_that_reaches_the_threshold(wire, watch):
    agent = watch(wire, "--on-threshold", "terminate", "--timeout-est", "60s")
    send(wire, from_server(), from_client(window=0), from_client(window=0), from_server(), from_client(window=0))
    first, second = sorted(by_event(agent.stop())[0], key=lambda flow: flow["flow_id"])
    assert first["end_reason"] == "terminated"
    assert (first["a"]["packets"], first["b"]["packets"]) == (2, 1)
    assert (first["a"]["stat"], first["a"]["state"], first["b"]["state"]) == ("0xd0", "ABRT", "ABRT")
    assert (second["a"]["packets"], second["a"]["zero_window_count"], second["b"]["packets"]) == (1, 1, 1)
    assert second["continues"] == first["flow_id"]


def test_count_neither_aborts_nor_ends_the_flow(wire, watch):
    agent = watch(wire, "--on-threshold", "count", "--timeout-est", "60s")
    send(wire, from_server(), *[from_client(window=0)] * 5, 0.005, from_client(window=7))
    flow, = by_event(agent.stop())[0]
    assert (flow["a"]["stat"], flow["a"]["state"], flow["a"]["zero_window_count"]) == ("0x90", "EST", 5)
    assert flow["a"]["alarms"] == ["abort_count"]


def test_a_long_flow_has_interim_records(wire, watch):
    agent = watch(wire, "--profile", "monitor", "--active-timeout", "1s")
    steps = [step for _ in range(8) for step in (from_client(), from_server(), 0.4)]
    send(wire, *steps)
    outcome = agent.stop()
    flows, _ = by_event(outcome)
    *interim, last = flows
    assert {flow["flow_id"] for flow in flows} == {1}
    assert len(interim) >= 2
    assert all(flow["interim"] and flow["end_reason"] == "active_timeout" for flow in interim)
    assert not last["interim"] and last["end_reason"] == "shutdown"
    packets = [flow["a"]["packets"] for flow in flows]
    assert packets == sorted(packets) and packets[-1] == 8, "each record includes the ones before"
    assert (outcome.report["flows"], outcome.report["interim records of flows that continued"]) == (1, len(interim))


def test_the_end_report_excludes_interim_records(wire, watch):
    agent = watch(wire, "--profile", "monitor", "--active-timeout", "1s")
    send(wire, *[step for _ in range(4) for step in (from_client(window=0), 0.5)])
    outcome = agent.stop()
    assert outcome.report["below threshold"] == 4


def test_monitor_cuts_a_stalled_connection_into_fewer_flows():
    """The constants of the tutorial cut it into more. Both engines agree."""
    path = DIRECTORY / "zerowindow_dead.pcapng"
    tutorial = run_agent("replay", path)
    monitor = {engine: run_agent("replay", path, "--profile", "monitor", "--engine", engine)
               for engine in ("portable", "kernel")}
    assert monitor["portable"].stdout == monitor["kernel"].stdout
    flows, alarms = by_event(monitor["portable"])
    assert len(flows) < len(by_event(tutorial)[0])
    assert all(alarm["alarm"] in ("stall", "abort_count", "limited") for alarm in alarms)
    for alarm in alarms:
        flow, = [flow for flow in flows if flow["flow_id"] == alarm["flow_id"] and not flow["interim"]]
        side, = [side for side in (flow["a"], flow["b"]) if side["ip"] == alarm["receiver"]["ip"]]
        assert alarm["alarm"] in side["alarms"]


def test_t2_format_has_neither_alarms_nor_interim_records(wire, watch):
    agent = watch(wire, "--profile", "monitor", "--active-timeout", "1s", "--abort-count", "1", "--format", "t2")
    send(wire, from_client(window=0), 1.2, from_client(window=0))
    outcome = agent.stop()
    assert outcome.exit_code == 0
    header, line = outcome.stdout.splitlines()
    assert header.startswith("%dir") and line.startswith("A\t1\t")
    assert CLIENT.ip in line
