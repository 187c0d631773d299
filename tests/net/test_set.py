# SPDX-License-Identifier: Apache-2.0
"""Settings from a file, reread on SIGHUP, and `set`, which changes the settings of running agents."""
import os
import signal
import time

import pytest

from agent import run_agent
from captures import DIRECTORY
from frames import from_client, from_server, send
from lines import parse_lines
from network import wait_until

root = pytest.mark.needs_root
pytestmark = pytest.mark.needs("setpriv")

OTHER_LAYOUT = os.environ.get("TCPWIN_OTHER_AGENT", "")
LONG = ("--timeout-est", "1h")
TUTORIAL = DIRECTORY / "tutorial" / "tutorial.pcap"


def set_agent(wire, *words, bpffs=None, prefix=()):
    return run_agent("set", *(["--bpffs", bpffs] if bpffs else []), *words, prefix=[*wire.right.inside(), *prefix])


def settings(wire, *words, **more):
    """The current settings, as `set` prints them"""
    outcome = set_agent(wire, *words, **more)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return dict(line.split("=") for line in outcome.stdout.splitlines())


def change(wire, *words, **more):
    outcome = set_agent(wire, *words, **more)
    assert (outcome.exit_code, outcome.stdout, outcome.errors) == (0, "", [])
    return outcome.stderr


def zero_windows(count):
    return [from_client(window=0)] * count


@root
def test_set_prints_the_current_settings(wire, watch):
    watch(wire, "--profile", "monitor", "--timeout-est", "90s", "--abort-count", "3")
    assert settings(wire) == {
        "win-threshold": "1", "abort-count": "3", "on-threshold": "count", "abort-alarm": "yes", "timeout-new": "1min",
        "timeout-bgn": "30s", "timeout-est": "1min30s", "timeout-abrt": "5s", "timeout-fin": "5s", "timeout-stalled": "5min",
        "active-timeout": "5min", "promote-established": "yes", "split-connections": "yes", "count-syn-rst": "no",
        "vlan-tracking": "yes", "stall-alarm": "5s", "limited-alarm": "10s", "source-alarm": "20", "pressure": "80%",
        "timeout-unanswered": "1s", "unanswered-records": "summary", "syn-flood-alarm": "1000", "reattach": "yes",
        "max-clock-jump": "1h"}


@root
def test_printed_settings_can_be_set_again(wire, watch):
    """Each printed line is a valid argument."""
    watch(wire, "--profile", "monitor")
    lines = set_agent(wire).stdout.splitlines()
    change(wire, "profile=tutorial")
    assert settings(wire) != dict(line.split("=") for line in lines)
    change(wire, *lines)
    assert set_agent(wire).stdout.splitlines() == lines


@root
def test_a_longer_timeout_keeps_an_existing_flow_alive(wire, watch):
    agent = watch(wire, "--timeout-est", "10s")
    send(wire, from_client())
    said = change(wire, "timeout-est=2h")
    assert said == f"tcpwin-agent: {wire.RIGHT}: timeout-est=2h (was 10s)\n"
    time.sleep(11)
    assert agent.out.read_text() == ""
    send(wire, from_client())
    record, = agent.stop().records
    assert (record["end_reason"], record["a"]["packets"], record["a"]["timeout"]) == ("shutdown", 2, 7200)


@root
def test_a_shorter_timeout_ends_an_existing_flow(wire, watch):
    """Even if no packet comes and no flow was due for an hour."""
    agent = watch(wire, *LONG, "--poll-interval", "50ms")
    send(wire, from_client())
    change(wire, "timeout-est=20ms")
    assert wait_until(lambda: agent.out.read_text().endswith("\n"))
    record, = agent.stop().records
    assert (record["end_reason"], record["a"]["timeout"]) == ("idle_timeout", 0.02)


@root
def test_abort_count_and_threshold_apply_to_existing_flows(wire, watch):
    agent = watch(wire, *LONG, "--timeout-abrt", "1h", "--abort-count", "1000")
    send(wire, *zero_windows(3))
    change(wire, "abort-count=4")
    send(wire, *zero_windows(1))
    change(wire, "win-threshold=2000")
    send(wire, from_server(window=1999))
    outcome = agent.stop()
    record, = outcome.records
    assert (record["a"]["state"], record["a"]["zero_window_count"], record["b"]["zero_window_count"]) == ("ABRT", 4, 1)
    assert outcome.report["threshold"] == 2000, "the report gives the threshold at the end"


@root
def test_no_packet_is_lost_while_settings_change(wire, watch):
    agent = watch(wire, *LONG)
    for number in range(1, 21):
        send(wire, *[from_client()] * 50)
        change(wire, f"abort-count={number + 2}", f"timeout-est={number}h")
    outcome = agent.stop()
    assert outcome.packets_in_records() == outcome.report["packets seen"] == 1000


@root
def test_set_addresses_all_agents_or_those_of_some_interfaces(ends, wire, start_agent):
    first, second = ends
    start_agent(wire.right, first).wait_attached(first)
    start_agent(wire.right, second, "--abort-count", "7").wait_attached(second)
    assert settings(wire, "--iface", first)["abort-count"] == "2"
    assert settings(wire, "--iface", second)["abort-count"] == "7"
    text = set_agent(wire).stdout
    assert [line for line in text.splitlines() if "=" not in line] == [f"# {first}", f"# {second}"]
    change(wire, "--iface", second, "abort-count=8", "--iface", first)
    assert text.count("abort-count") == 2 and set_agent(wire).stdout.count("abort-count=8") == 2


@root
def test_interfaces_of_one_agent_share_their_settings(ends, wire, start_agent):
    first, second = ends
    start_agent(wire.right, first, second).wait_attached(first, second)
    said = change(wire, "--iface", second, "abort-count=5")
    assert said == f"tcpwin-agent: {first}, {second}: abort-count=5 (was 2)\n"
    assert settings(wire)["abort-count"] == "5"


@root
def test_a_change_outlives_a_persistent_agent_until_the_next_one_starts(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    send(wire, from_client())
    agent.kill()
    before = settings(wire, bpffs=persistent.bpffs)["timeout-est"]
    change(wire, "timeout-est=3h", bpffs=persistent.bpffs)
    assert (before, settings(wire, bpffs=persistent.bpffs)["timeout-est"]) == ("1min", "3h")
    assert persistent.attach(wire.right, wire.RIGHT).stop().exit_code == 0
    assert settings(wire, bpffs=persistent.bpffs)["timeout-est"] == "1min"
    assert persistent.detach(wire.right).exit_code == 0


@root
@pytest.mark.parametrize("words, why", [
    ((), "cannot print the settings: nothing is attached"),
    (("abort-count=1",), "cannot change the settings: nothing is attached"),
    (("--iface", "sender0", "abort-count=1"), "cannot change the settings of sender0: nothing is attached there")])
def test_set_without_an_agent_is_an_error(words, why, wire):
    outcome = set_agent(wire, *words)
    sentence, = outcome.errors
    assert outcome.exit_code == 1 and why in sentence


@root
def test_set_needs_root(wire, watch):
    watch(wire)
    outcome = set_agent(wire, "abort-count=1", prefix=["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"])
    sentence, = outcome.errors
    assert outcome.exit_code == 77 and "run as root" in sentence
    assert settings(wire)["abort-count"] == "2"


@root
def test_an_agent_with_another_layout_is_refused(wire, start_agent):
    assert os.access(OTHER_LAYOUT, os.X_OK), "other_agent is not built, or not named in TCPWIN_OTHER_AGENT"
    agent = start_agent(wire.right, wire.RIGHT, *LONG, binary=OTHER_LAYOUT).wait_attached(wire.RIGHT)
    send(wire, from_client())
    outcome = set_agent(wire, "timeout-est=1ns")
    sentence, = outcome.errors
    assert outcome.exit_code == 1 and "another version" in sentence
    assert len(agent.stop().records) == 1


# --- Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    """file(text): writes the settings file and returns its path"""
    def write(text):
        (tmp_path / "agent.toml").write_text(text)
        return tmp_path / "agent.toml"

    return write


def test_replay_takes_settings_from_a_file(file):
    """The exercise of the tutorial."""
    path = file('timeout-new = "182s"\ntimeout-est = "4s"\nabort-count = 3\n')
    in_file = run_agent("replay", "-q", "--config", path, TUTORIAL).records
    options = ("--timeout-new", "182s", "--timeout-est", "4s", "--abort-count", "3")
    as_options = run_agent("replay", "-q", *options, TUTORIAL).records
    assert in_file == as_options != run_agent("replay", "-q", TUTORIAL).records


def test_the_command_line_takes_precedence_over_the_file(file):
    path = file('profile = "monitor"\ntimeout-est = "1ns"\nabort-count = 1\non-threshold = "abort"\n')
    options = ("--abort-count", "2", "--timeout-est", "1s", "--profile", "tutorial")
    with_file = run_agent("replay", "-q", "--config", path, *options, TUTORIAL).records
    assert with_file == run_agent("replay", "-q", TUTORIAL).records


def test_an_invalid_file_leaves_the_output_alone(file, tmp_path):
    output = tmp_path / "flows.json"
    output.write_text("")
    before = output.stat().st_mtime_ns
    outcome = run_agent("replay", "--config", file("abort-count = 0\n"), "--output", output, TUTORIAL)
    sentence, = outcome.errors
    assert outcome.exit_code == 78
    assert "agent.toml: line 1: abort-count is '0'" in sentence
    assert output.stat().st_mtime_ns == before


@root
def test_set_accepts_a_file(wire, watch, file):
    watch(wire, "--abort-count", "9")
    path = file('timeout-est = "2s"\nwin-threshold = 5\n')
    change(wire, "--config", path, "win-threshold=6")
    now = settings(wire)
    assert (now["timeout-est"], now["win-threshold"], now["abort-count"]) == ("2s", "6", "9")
    outcome = set_agent(wire, "--config", file("nonsense = 1\n"))
    assert outcome.exit_code == 78 and settings(wire) == now


def hang_up(agent, holds):
    agent.process.send_signal(signal.SIGHUP)
    assert wait_until(holds), agent.stderr()


@root
def test_sighup_rereads_the_file(wire, watch, file):
    """The new settings apply to existing flows. The agent itself can no longer open files."""
    path = file('timeout-est = "1h"\nabort-count = 5\n')
    path.chmod(0o600)
    agent = watch(wire, "--config", path, "--win-threshold", "3")
    send(wire, from_client())
    change(wire, "abort-count=6", "timeout-abrt=3s")
    before = settings(wire)
    assert (before["timeout-est"], before["abort-count"], before["win-threshold"]) == ("1h", "6", "3")

    file('timeout-est = "30ms"\nabort-count = 7\nwin-threshold = 9\n')
    hang_up(agent, lambda: settings(wire)["abort-count"] == "7")
    after = settings(wire)
    assert after == before | {"abort-count": "7", "timeout-est": "30ms", "timeout-abrt": "1ms"}, \
        "the command line still takes precedence, and changes made by `set` are reverted"
    assert wait_until(lambda: "idle_timeout" in agent.out.read_text())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, []) and "warning" not in outcome.stderr


@root
@pytest.mark.parametrize("text, why", [("abort-count = 0\n", "line 1: abort-count is '0'"), ("[", "line 1: it is not TOML"),
                                       ("\n\nx = 1\n", "line 3: there is no setting 'x'"), (None, "No such file or directory")])
def test_an_invalid_file_changes_nothing(text, why, wire, watch, file):
    path = file("abort-count = 5\n")
    agent = watch(wire, "--config", path, *LONG)
    if text is None:
        path.unlink()
    else:
        file(text)
    hang_up(agent, lambda: "warning" in agent.stderr())
    sentence, = [line for line in agent.stderr().splitlines() if "warning" in line]
    assert why in sentence and str(path) in sentence and sentence.endswith("; the settings stay unchanged")
    assert settings(wire)["abort-count"] == "5"
    send(wire, from_client())
    file("abort-count = 6\n")
    hang_up(agent, lambda: settings(wire)["abort-count"] == "6")
    assert len(parse_lines(agent.stop().stdout)) == 1


@root
def test_sighup_without_a_file_changes_nothing(wire, watch, tmp_path):
    agent = watch(wire, *LONG, "--output", tmp_path / "flows.json")
    change(wire, "abort-count=6")
    (tmp_path / "flows.json").unlink()
    hang_up(agent, (tmp_path / "flows.json").exists)
    assert settings(wire)["abort-count"] == "6"
    assert agent.stop().exit_code == 0
