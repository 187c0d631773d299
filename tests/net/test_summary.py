# SPDX-License-Identifier: Apache-2.0
"""`--summary FILE`: the end report as one JSON object, with the same figures. Every line is validated against the schema."""
import pytest

from agent import NOBODY, run_agent, status_of, wait_confined
from captures import DIRECTORY, write_capture
from frames import from_client, from_server, send
from lines import parse_lines
from network import wait_until

CAPTURE = DIRECTORY / "zerowindow_dead.pcapng"
# The name of a figure in the report, and where it is in the summary.
SAME = {"flows": ("totals", "flow_records"), "a flows": ("a_flows",), "b flows": ("b_flows",), "packets seen": ("totals", "packets"),
        "tcp packets": ("tcp_packets",), "alarms in flows": ("flows_with_alarm",), "threshold": ("win_threshold",),
        "below threshold": ("totals", "packets_below_threshold"), "largest number of flows in the table": ("peak_flows",)}


def summary_in(path):
    summary, = parse_lines(path.read_text())
    return summary


def value_at(summary, way):
    return value_at(summary[way[0]], way[1:]) if way else summary


def check_same(summary, report):
    assert {name: value_at(summary, way) for name, way in SAME.items()} == {name: report[name] for name in SAME}
    assert (int(summary["stat"], 16), int(summary["state"], 16)) == (report["tcpWinStat"], report["tcpWinState"])
    counters = {name.split()[1]: value for name, value in report.items() if name.startswith(("rejected ", "lost "))}
    assert counters == {name: summary["totals"][name] for name in counters}


@pytest.mark.parametrize("profile", ["tutorial", "monitor"])
def test_of_a_replay(profile, tmp_path):
    path = tmp_path / "summary"
    outcome = run_agent("replay", CAPTURE, "--profile", profile, "--summary", path)
    assert outcome.exit_code == 0
    summary = summary_in(path)
    check_same(summary, outcome.report)
    assert (summary["source"], summary["inputs"], summary["engine"]) == ("replay", [str(CAPTURE)], "portable")
    assert (summary["profile"], summary["enough_max_flows"]) == (profile, None)
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


def test_of_a_full_table(tmp_path):
    """Several captures, whose packets are also rejected and lost."""
    captures, path = sorted(DIRECTORY.glob("*.pcap*")), tmp_path / "summary"
    outcome = run_agent("replay", *captures, "--max-flows", 2, "--summary", path)
    summary = summary_in(path)
    check_same(summary, outcome.report)
    assert summary["inputs"] == [str(capture) for capture in captures]
    assert summary["totals"]["untracked_full"] > 0 and summary["totals"]["not_tcp"] > 0
    assert f"--max-flows {summary['enough_max_flows']} would have been enough" in outcome.stderr


def test_of_a_capture_whose_clock_was_set_back(tmp_path):
    capture, path = tmp_path / "capture", tmp_path / "summary"
    times = [10_000, 10_001, 10_002, 6_403, 6_404]
    write_capture(capture, [from_client()] * len(times), times)
    outcome = run_agent("replay", capture, "--max-clock-jump", "1h", "--summary", path)
    summary = summary_in(path)
    assert (summary["clock_steps_back"], summary["clock_back"], summary["wild_times"], summary["no_times"]) == (1, 3600, 0, False)
    assert "set back once, by about 1h" in outcome.stderr


def test_the_profile_of_a_settings_file(tmp_path):
    settings, path = tmp_path / "settings", tmp_path / "summary"
    settings.write_text('profile = "monitor"\n')
    assert run_agent("replay", CAPTURE, "--config", settings, "--quiet", "--summary", path).exit_code == 0
    assert summary_in(path)["profile"] == "monitor"


def test_to_standard_output(tmp_path):
    outcome = run_agent("replay", CAPTURE, "--output", tmp_path / "flows", "--summary", "-")
    summary, = outcome.records
    check_same(summary, outcome.report)


@pytest.mark.needs_root
def test_of_the_kernel_engine(tmp_path):
    both = {}
    for engine in "portable", "kernel":
        path = tmp_path / engine
        outcome = run_agent("replay", CAPTURE, "--engine", engine, "--summary", path)
        both[engine] = summary_in(path)
        check_same(both[engine], outcome.report)
        assert both[engine].pop("engine") == engine
        # Only the kernel's packets find expired flows before a sweep does.
        del both[engine]["time"], both[engine]["time_ns"], both[engine]["totals"]["flows_cut"]
    assert both["portable"] == both["kernel"]


@pytest.mark.needs_root
def test_of_a_live_run(wire, watch, tmp_path):
    """The agent has become nobody, who could not open this file."""
    path = tmp_path / "summary"
    agent = wait_confined(watch(wire, "--summary", path))
    assert status_of(agent.process.pid)["Uid"].split() == [str(NOBODY)] * 4
    assert path.read_text() == "", "created at the start"
    send(wire, from_client(), from_server())
    assert wait_until(lambda: wire.right.link(wire.RIGHT)["stats64"]["rx"]["packets"] >= 2)
    outcome = agent.stop()
    assert outcome.exit_code == 0
    summary = summary_in(path)
    check_same(summary, outcome.report)
    assert (summary["source"], summary["inputs"], summary["totals"]["tracked"]) == ("live", [wire.RIGHT], 2)
    assert (summary["engine"], summary["profile"]) == ("kernel", "tutorial")
    assert summary["start"] < summary["end"] == summary["time"]


@pytest.mark.needs_root
def test_of_a_live_run_that_an_error_ends(wire, watch, tmp_path):
    path = tmp_path / "summary"
    agent = watch(wire, "--summary", path)
    send(wire, from_client())
    assert wait_until(lambda: wire.right.link(wire.RIGHT)["stats64"]["rx"]["packets"] >= 1)
    wire.right.ip("link", "delete", "dev", wire.RIGHT)
    outcome = agent.wait()
    assert outcome.exit_code == 1
    check_same(summary_in(path), outcome.report)
    assert summary_in(path)["totals"]["tracked"] == 1


@pytest.mark.needs_root
def test_a_live_summary_that_cannot_be_written(wire, watch):
    outcome = watch(wire, "--summary", "/dev/full").stop()
    assert outcome.exit_code == 1
    error, = outcome.errors
    assert "/dev/full: No space left on device" in error


@pytest.mark.needs_root
@pytest.mark.parametrize("path", ["/nonexistent/summary", "/proc/summary"])
def test_a_live_run_with_a_bad_path_attaches_nothing(wire, start_agent, path):
    outcome = start_agent(wire.right, wire.RIGHT, "--summary", path).wait()
    assert outcome.exit_code == 1 and "attached to" not in outcome.stderr
    error, = outcome.errors
    assert f"cannot open {path} for writing" in error


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


def test_two_names_of_a_file_that_does_not_exist(tmp_path):
    same, link = tmp_path / "same", tmp_path / "link"
    link.symlink_to(tmp_path)
    for other in f"{tmp_path}/./same", f"{tmp_path}/none/../same", link / "same":
        outcome = run_agent("replay", CAPTURE, "--output", same, "--summary", other)
        assert outcome.exit_code == 2 and "--summary and --output are the same" in outcome.stderr
        assert not same.exists()
