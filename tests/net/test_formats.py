# SPDX-License-Identifier: Apache-2.0
"""The two record formats and their outputs."""
import datetime
import re

import pytest

from frames import CLIENT, SERVER, from_client, from_server, send

pytestmark = pytest.mark.needs_root

T2_COLUMNS = ("%dir flowInd timeFirst timeLast duration vlan srcIP srcPort dstIP dstPort l4Proto "
              "tcpWinStat tcpWinState tcpWinThCnt").split()
SECONDS = re.compile(r"\d+\.\d{9}")
LONG = ("--timeout-est", "60s", "--timeout-abrt", "60s")


def send_two_flows(wire):
    """A handshake in which the client sends one zero window; then one packet from another port: a flow with one direction."""
    lonely = from_client().replace(CLIENT.port.to_bytes(2, "big"), (40001).to_bytes(2, "big"))
    send(wire, from_client("SYN", 500), from_server("SYN+ACK", 600), from_client("ACK", 0), lonely)


def test_t2_has_tranalyzers_columns(wire, watch):
    agent = watch(wire, "--format", "t2", *LONG)
    send_two_flows(wire)
    outcome = agent.stop()
    header, *rows = [line.split("\t") for line in outcome.stdout.splitlines()]

    assert outcome.exit_code == 0
    assert header == T2_COLUMNS
    rows = [dict(zip(header, row, strict=True)) for row in rows]
    rows.sort(key=lambda row: (int(row["flowInd"]), row["%dir"]))
    assert all(SECONDS.fullmatch(row[column]) for row in rows for column in ("timeFirst", "timeLast", "duration"))
    exact = [[row[c] for c in header if c not in ("timeFirst", "timeLast", "duration", "vlan")] for row in rows]
    client, server = [CLIENT.ip, str(CLIENT.port)], [SERVER.ip, str(SERVER.port)]
    assert exact == [["A", "1", *client, *server, "6", "0x92", "0x01", "1"],
                     ["B", "1", *server, *client, "6", "0x12", "0x01", "0"],
                     ["A", "2", CLIENT.ip, "40001", *server, "6", "0x10", "0x02", "0"]]


def test_t2_writes_each_flow_once_with_a_before_b(wire, watch):
    agent = watch(wire, "--format", "t2", *LONG)
    send_two_flows(wire)
    rows = [line.split("\t")[:2] for line in agent.stop().stdout.splitlines()[1:]]
    assert sorted(flow for _, flow in rows) == ["1", "1", "2"]
    assert [direction for direction, flow in rows if flow == "1"] == ["A", "B"]


def test_a_json_record_has_every_field(wire, watch):
    agent = watch(wire, *LONG)
    send_two_flows(wire)
    outcome = agent.stop()
    both, alone = sorted(outcome.records, key=lambda record: record["flow_id"])

    assert list(both) == ["schema", "event", "flow_id", "continues", "community_id", "in_iface", "hooks", "vlan",
                          "vlans", "ip_version", "start", "end", "start_ns", "end_ns", "duration", "end_reason", "interim", "a",
                          "b"]
    assert (both["schema"], both["event"], both["flow_id"], both["in_iface"]) == (1, "flow", 1, wire.RIGHT)
    assert both["hooks"] == ["xdp"]
    assert (both["vlan"], both["vlans"], both["ip_version"], both["end_reason"]) == (None, [], 4, "shutdown")
    assert counted(both["a"]) == {
        "ip": CLIENT.ip, "port": CLIENT.port, "packets": 2, "bytes": 80, "tcp_flags": ["SYN", "ACK"], "stat": "0x92",
        "state": "BGN", "state_code": 1, "zero_window_count": 1, "window_min": 0, "window_max": 500, "window_last": 0,
        "timeout": 60.0, "alarms": []}
    assert counted(both["b"]) == {
        "ip": SERVER.ip, "port": SERVER.port, "packets": 1, "bytes": 40, "tcp_flags": ["SYN", "ACK"], "stat": "0x12",
        "state": "BGN", "state_code": 1, "zero_window_count": 0, "window_min": 600, "window_max": 600,
        "window_last": 600, "timeout": 2.2, "alarms": []}
    assert (alone["a"]["port"], alone["b"]) == (40001, None)


def counted(side):
    """The fields of a direction without its times and its analysis"""
    aside = ("first_ns", "last_ns", "stall", "window", "tcp", "limits", "local")
    return {name: value for name, value in side.items() if name not in aside}


def test_json_times_agree_with_each_other_and_with_the_clock(wire, watch):
    before = datetime.datetime.now(datetime.timezone.utc)
    agent = watch(wire, *LONG)
    send(wire, from_client(), 0.1, from_server())
    record, = agent.stop().records

    assert record["start_ns"] == record["a"]["first_ns"] and record["end_ns"] == record["b"]["last_ns"]
    assert record["duration"] == pytest.approx((record["end_ns"] - record["start_ns"]) / 1e9, abs=1e-6)
    assert record["duration"] >= 0.1
    for text, nanoseconds in ((record["start"], record["start_ns"]), (record["end"], record["end_ns"])):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text)
        whole = datetime.datetime.strptime(text[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
        assert int(whole.timestamp()) * 10**9 + int(text[20:29]) == nanoseconds
        # Some slack: the wall clock may be set while a test runs.
        assert abs((whole - before).total_seconds()) < 60


def test_the_output_file_contains_only_records(wire, watch, tmp_path):
    path = tmp_path / "flows.json"
    agent = watch(wire, "--output", path, *LONG)
    send_two_flows(wire)
    outcome = agent.stop()
    assert outcome.exit_code == 0
    assert outcome.stdout == ""
    assert path.read_text().count('"event":"flow"') == len(path.read_text().splitlines()) == 2


def test_quiet_prints_nothing(wire, start_agent):
    agent = start_agent(wire.right, wire.RIGHT, "--quiet", "--duration", "300ms")
    assert agent.wait().stderr == ""
