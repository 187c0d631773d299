# SPDX-License-Identifier: Apache-2.0
"""The schema accepts every line of the agent, and rejects wrong ones."""
import base64
import copy
import hashlib
import ipaddress
import json
import struct
import subprocess
import sys

import pytest

import lines
from agent import run_agent
from captures import DIRECTORY
from lines import BrokenLine, parse_line, parse_lines

CAPTURES = sorted(path for path in DIRECTORY.rglob("*.pcap*"))
TUTORIAL = DIRECTORY / "tutorial" / "tutorial.pcap"
STATUS = {
    "schema": 1, "event": "status", "iface": "eth0", "ifindex": 2, "since": "2026-11-23T21:49:59.731441107Z",
    "hooks": [{"hook": "native XDP", "program_id": 7}, {"hook": "TCX egress", "program_id": 8}], "persistent": False,
    "agent_pid": None, "flow_table_id": 3, "max_flows": 262144, "flows": 0, "pressure": False,
    "counters": {"tracked": 1}}
TOTALS = json.loads(lines.SCHEMA.read_text())["$defs"]["stats_totals"]["required"]
STATS = {
    "schema": 1, "event": "stats", "time": "2026-11-23T21:49:59.731441107Z", "time_ns": 1795470599731441107, "uptime": 20.5,
    "interval": 10.25, "last": False, "flows": 3, "peak_flows": 4, "max_flows": 262144, "pressure": True,
    "unseen": 1.5, "reattachments": 1, "detached_hooks": 0, "totals": {name: 2 for name in TOTALS}, "delta": {name: 1 for name in TOTALS}}
ALARM = {
    "schema": 1, "event": "alarm", "alarm": "stall", "time": "2026-11-23T21:49:59.731441107Z", "time_ns": 1795470599731441107,
    "flow_id": 17, "community_id": "1:qkGIYrGBvdfsBvOjepUMLAEKQL4=", "in_iface": "eth0", "vlan": None,
    "receiver": {"ip": "192.0.2.7", "port": 38760}, "sender": {"ip": "198.51.100.1", "port": 80}, "zero_window_count": 6,
    "stalled_since_ns": 1795470593330441107, "stalled": 6.401, "stall_alarm": 5.0}
SYN_FLOOD = {
    "schema": 1, "event": "alarm", "alarm": "syn_flood", "time": "2026-11-23T21:49:59.731441107Z",
    "time_ns": 1795470599731441107, "vlan": 7, "receiver": {"ip": "192.0.2.7", "port": 80}, "rate": 2000,
    "syn_flood_alarm": 1000}
UNANSWERED = {
    "schema": 1, "event": "unanswered", "time": "2026-11-23T21:49:59.731441107Z", "time_ns": 1795470599731441107, "flows": 3,
    "packets": 4, "bytes": 160, "evicted": 1, "unanswered_timeout": 2, "other_flows": 1, "unrecorded_flows": 0,
    "receivers": [{"ip": "192.0.2.7", "port": 80, "flows": 2}], "unrecorded_packets": 0}
SUMMARY = {
    "schema": 1, "event": "summary", "time": "2026-11-23T21:49:59.731441107Z", "time_ns": 1795470599731441107, "version": "0.1.0",
    "source": "live", "inputs": ["eth0"], "engine": "kernel", "profile": "monitor", "start": "2026-11-23T21:49:49.731441107Z", "end": "2026-11-23T21:49:59.731441107Z",
    "duration": 10.0, "clock_steps_back": 0, "clock_back": 0.0, "wild_times": 0, "no_times": False, "stat": "0x9b", "state": "0x06",
    "win_threshold": 1, "tcp_packets": 40, "a_flows": 3, "b_flows": 2, "flows_with_alarm": 1,
    "packets_in_flow_records": 40, "flows": 0, "peak_flows": 2, "max_flows": 262144, "enough_max_flows": None,
    "unseen": 0.5, "reattachments": 1,
    "totals": {name: 2 for name in TOTALS}}
EVENTS = ["flow", "alarm", "packet", "status", "live_flow", "stats", "unanswered", "summary"]


def live(flow):
    """The record of `flows --json` at the time of the flow's last packet"""
    same = {name: value for name, value in flow.items() if name not in ("end_reason", "interim")}
    return same | {"event": "live_flow", "time": flow["end"], "time_ns": flow["end_ns"]}


def subschemas(schema):
    """Every schema inside the schema, with its path."""
    def walk(node, way):
        for name, inner in node.get("properties", {}).items():
            yield f"{way}.{name}", inner
            yield from walk(inner, f"{way}.{name}")
        if "items" in node:
            yield f"{way}[]", node["items"]
            yield from walk(node["items"], f"{way}[]")
    for name, definition in schema["$defs"].items():
        yield name, definition
        yield from walk(definition, name)


@pytest.fixture(scope="module")
def schema():
    return json.loads(lines.SCHEMA.read_text())


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A valid line of each event, with both sides of a flow."""
    packets = tmp_path_factory.mktemp("examples") / "packets"
    flows = run_agent("replay", "--packets", packets, TUTORIAL).records
    return {"flow": flows[0], "packet": parse_lines(packets.read_text())[0], "status": STATUS,
            "stats": STATS, "alarm": ALARM, "unanswered": UNANSWERED, "summary": SUMMARY,
            "live_flow": live(flows[0])}


def test_every_field_is_described_and_every_object_is_closed(schema):
    found = dict(subschemas(schema))
    assert {"flow", "side", "side.window_last", "status.hooks[].program_id"} <= set(found)
    assert [way for way, inner in found.items() if not inner.get("description")] == []
    assert [way for way, inner in found.items()
            if inner.get("type") == "object" and inner.get("additionalProperties") is not False] == []


def test_every_event_has_a_case(schema):
    """Without one, anything would be valid."""
    assert [case["if"]["properties"]["event"]["const"] for case in schema["allOf"]] == EVENTS
    assert schema["properties"]["event"]["enum"] == EVENTS


# ---- wrong lines are rejected ----

def places(event, way=()):
    """The path of every value inside an event."""
    items = event.items() if isinstance(event, dict) else enumerate(event) if isinstance(event, list) else ()
    for name, value in items:
        yield (*way, name)
        yield from places(value, (*way, name))


def changed(event, way, change):
    event = copy.deepcopy(event)
    inner = event
    for name in way[:-1]:
        inner = inner[name]
    change(inner, way[-1])
    return event


def is_broken(event):
    """By each of the validators."""
    with pytest.raises(BrokenLine):
        parse_line(json.dumps(event))
    return any(lines.thorough().iter_errors(event)) and lines.fault(event, thoroughly=False)


@pytest.mark.parametrize("event", EVENTS)
def test_a_missing_field_is_broken(event, examples):
    optional = {("community_id",), ("counters", "tracked")}
    for way in places(examples[event]):
        if isinstance(way[-1], str) and way not in optional:
            assert is_broken(changed(examples[event], way, lambda inner, name: inner.pop(name))), way


@pytest.mark.parametrize("event", EVENTS)
def test_an_unknown_field_is_broken(event, examples):
    objects = [(), *(way for way in places(examples[event]) if isinstance(value_at(examples[event], way), dict))]
    for way in objects:
        assert is_broken(changed(examples[event], (*way, "novelty"), lambda inner, name: inner.update({name: 1}))), way


def value_at(event, way):
    for name in way:
        event = event[name]
    return event


@pytest.mark.parametrize("wrong", [-1, "wrong", 0.5, [0], {"wrong": 0}], ids=str)
@pytest.mark.parametrize("event", EVENTS)
def test_a_wrong_value_is_broken(event, wrong, examples):
    any_name, any_fraction = {"in_iface", "iface", "version"}, {"duration", "iat", "flow_duration", "timeout", "total", "longest",
                                                         "handshake_rtt", "uptime", "interval", "stalled", "stall_alarm", "unseen", "busy", "receiver",
                                                         "network", "application", "limited", "limited_alarm", "clock_back"}
    for way in places(examples[event]):
        allowed = (way[-1] in any_name or way == ("inputs", 0)) and wrong == "wrong" or way[-1] in any_fraction and wrong == 0.5
        if not allowed:
            assert is_broken(changed(examples[event], way, lambda inner, name: inner.__setitem__(name, wrong))), way


@pytest.mark.parametrize("change", [
    {"event": "novelty"}, {"schema": 2}, {"start": "2026-11-23T21:49:59.731Z"}, {"start": "2026-13-23T21:49:59.731441107Z"},
    {"ip_version": 6}, {"community_id": "1:short="}, {"vlan": 0}, {"hooks": ["xdp", "xdp"]}, {"a": None}], ids=str)
def test_a_subtle_mistake_is_broken(change, examples):
    assert is_broken(examples["flow"] | change)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"schema":1', '{"schema":1}', "{'schema':1}", '{"schema":1}{}'])
def test_text_that_is_not_an_event_is_broken(text):
    with pytest.raises(BrokenLine):
        parse_line(text)


def test_json_that_only_lenient_parsers_accept_is_broken(examples):
    text = json.dumps(examples["flow"])
    for broken in (text.replace('"duration": ', '"duration": NaN, "x": '), text.replace("{", '{"schema": 1, ', 1)):
        with pytest.raises(BrokenLine):
            parse_line(broken)


def test_an_empty_line_and_a_last_line_without_newline_are_broken(examples):
    text = json.dumps(examples["flow"])
    for broken in (text + "\n\n" + text + "\n", text):
        with pytest.raises(BrokenLine):
            parse_lines(broken)
    assert parse_lines(text + "\n" + text[:-1], whole=False) == [examples["flow"]], "a killed agent may write half a line"


@pytest.mark.parametrize("place", ["stdout", "--output", "--packets"])
def test_every_run_of_the_agent_is_validated(place, tmp_path):
    script, file = tmp_path / "agent", tmp_path / "file"
    options = [] if place == "stdout" else [place, file]
    file.write_text("was there before\n")
    script.write_text("#!/bin/sh\necho '{}' >>" + ("/dev/stdout" if place == "stdout" else str(file)) + "\n")
    script.chmod(0o755)
    with pytest.raises(BrokenLine):
        run_agent("replay", *options, "capture.pcap", binary=script)


def test_lines_kept_by_other_tests_are_validated(tmp_path, examples):
    def validate():
        return subprocess.run([sys.executable, "-B", lines.__file__, tmp_path], text=True, capture_output=True, timeout=60)
    (tmp_path / "1").write_text(json.dumps(examples["flow"]) + "\n" + json.dumps(STATUS) + "\n")
    assert (validate().returncode, validate().stdout) == (0, "valid lines: 1 of event flow, 1 of event status\n")
    (tmp_path / "2").write_text(json.dumps(examples["flow"] | {"vlan": -1}) + "\n")
    assert validate().returncode == 1
    assert f"{tmp_path}/2: data.vlan must be bigger than or equal to 1: " in validate().stderr


# ---- lines of the agent are accepted ----

def community_id(record, seed):
    """Computed from the specification, without our code"""
    ends = sorted((ipaddress.ip_address(ip).packed, port) for ip, port in record)
    addresses, ports = zip(*ends)
    text = struct.pack("!H", seed) + b"".join(addresses) + struct.pack("!BBHH", 6, 0, *ports)
    return "1:" + base64.b64encode(hashlib.sha1(text).digest()).decode()


def endpoints(record):
    return [(side["ip"], side["port"]) for side in (record["a"], record["b"])]


@pytest.mark.parametrize("engine", ["portable", pytest.param("kernel", marks=pytest.mark.needs_root)])
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_all_captures(capture, engine, tmp_path):
    """run_agent validates both outputs."""
    packets = tmp_path / "packets"
    outcome = run_agent("replay", "-q", "--engine", engine, "--packets", packets, capture, timeout=60)
    assert outcome.exit_code == 0
    flows = outcome.records
    assert len(parse_lines(packets.read_text())) == outcome.packets_in_records()
    for flow in flows:
        if flow["b"]:
            assert flow["community_id"] == community_id(endpoints(flow), 0)


def test_other_timeouts_and_thresholds(tmp_path):
    options = ("--win-threshold", "65536", "--abort-count", "1", "--timeout-est", "1ns", "--timeout-abrt", "1000h")
    assert run_agent("replay", "-q", *options, "--packets", tmp_path / "packets", TUTORIAL).records


@pytest.mark.parametrize("seed", [1, 65535])
def test_community_id_with_a_seed(seed):
    flows = [flow for flow in run_agent("replay", "-q", "--community-id-seed", seed, TUTORIAL).records if flow["b"]]
    assert [flow["community_id"] for flow in flows] == [community_id(endpoints(flow), seed) for flow in flows]
    assert flows


def test_no_community_id():
    flows = run_agent("replay", "-q", "--no-community-id", TUTORIAL).records
    assert flows and not any("community_id" in flow for flow in flows)


@pytest.mark.parametrize("options", [["--community-id-seed", "65536"], ["--community-id-seed", "-1"],
                                     ["--community-id-seed", "x"], ["--community-id-seed", "1", "--no-community-id"]])
def test_a_wrong_seed_is_wrong_usage(options):
    outcome = run_agent("replay", *options, TUTORIAL)
    sentence, = outcome.errors
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "--community-id-seed" in sentence
