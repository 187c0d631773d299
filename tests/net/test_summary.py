# SPDX-License-Identifier: Apache-2.0
"""`--summary FILE`: the end report as one JSON object, with the same figures. Every line is validated against the schema."""
import pytest

from agent import run_agent
from captures import DIRECTORY
from frames import from_client, from_server, send
from lines import parse_lines
from network import wait_until

CAPTURE = DIRECTORY / "zerowindow_dead.pcapng"
# Its name in the report, and in the summary.
SAME = {"flows": ("totals", "flow_records"), "a flows": ("a_flows",), "b flows": ("b_flows",), "packets seen": ("totals", "packets"),
        "largest number of flows in the table": ("peak_flows",), "alarms in flows": ("flows_with_alarm",)}


def summary_in(path):
    summary, = parse_lines(path.read_text())
    return summary


def check_same(summary, report):
    for name, way in SAME.items():
        value = summary
        for one in way:
            value = value[one]
        assert value == report[name], name


@pytest.mark.parametrize("profile", ["tutorial", "monitor"])
def test_of_a_replay(profile, tmp_path):
    path = tmp_path / "summary"
    outcome = run_agent("replay", CAPTURE, "--profile", profile, "--summary", path)
    assert outcome.exit_code == 0
    summary = summary_in(path)
    check_same(summary, outcome.report)
    assert (summary["source"], summary["inputs"]) == ("replay", [str(CAPTURE)])
    flows = [line for line in outcome.records if line["event"] == "flow"]
    assert (summary["start"], summary["end"]) == (min(flow["start"] for flow in flows), max(flow["end"] for flow in flows))
    alarmed = sum(bool(flow["a"]["alarms"] + flow["b"]["alarms"]) for flow in flows)
    assert summary["flows_with_alarm"] == alarmed == (profile == "monitor")


def test_of_a_capture_without_frames(tmp_path):
    empty, path = tmp_path / "empty.pcap", tmp_path / "summary"
    empty.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    assert run_agent("replay", empty, "--quiet", "--summary", path).exit_code == 0
    summary = summary_in(path)
    assert (summary["start"], summary["end"], summary["duration"], summary["totals"]["packets"]) == (None, None, 0, 0)


def test_after_an_error(tmp_path):
    """A capture that ends in the middle of a packet."""
    short, path = tmp_path / "short.pcapng", tmp_path / "summary"
    short.write_bytes(CAPTURE.read_bytes()[:-20])
    outcome = run_agent("replay", short, "--summary", path)
    assert outcome.exit_code == 1
    check_same(summary_in(path), outcome.report)
    assert summary_in(path)["totals"]["packets"] > 0


@pytest.mark.needs_root
def test_of_a_live_run(wire, watch, tmp_path):
    path = tmp_path / "summary"
    agent = watch(wire, "--summary", path)
    assert path.read_text() == "", "created at the start"
    send(wire, from_client(), from_server())
    assert wait_until(lambda: wire.right.link(wire.RIGHT)["stats64"]["rx"]["packets"] >= 2)
    outcome = agent.stop()
    assert outcome.exit_code == 0
    summary = summary_in(path)
    check_same(summary, outcome.report)
    assert (summary["source"], summary["inputs"], summary["totals"]["tracked"]) == ("live", [wire.RIGHT], 2)
    assert summary["start"] < summary["end"] == summary["time"]


@pytest.mark.parametrize("path, code, words", [
    ("/dev/full", 1, "/dev/full: No space left on device"), ("/nonexistent/summary", 1, "cannot open /nonexistent/summary"),
    ("-", 2, "--summary and --output are the same (-)")])
def test_bad_files(path, code, words):
    outcome = run_agent("replay", CAPTURE, "--summary", path)
    assert outcome.exit_code == code and words in outcome.stderr


def test_it_overwrites_no_input(tmp_path):
    settings = tmp_path / "settings"
    settings.write_text("abort-count = 3\n")
    outcome = run_agent("replay", CAPTURE, "--config", settings, "--summary", settings)
    assert outcome.exit_code == 2 and f"--summary {settings} is the same file as the input" in outcome.stderr
    assert settings.read_text() == "abort-count = 3\n"


def test_it_shares_no_file_with_another_output(tmp_path):
    same = tmp_path / "same"
    for option in "--output", "--packets":
        outcome = run_agent("replay", CAPTURE, option, same, "--summary", same)
        assert outcome.exit_code == 2 and f"--summary and {option} are the same" in outcome.stderr
        assert not same.exists()
