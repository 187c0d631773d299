# SPDX-License-Identifier: Apache-2.0
"""SIGHUP reopens the outputs, SIGUSR1 prints a report at once, and --stats-interval writes statistics."""
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import threading

import pytest

from agent import BINARY, CAPABILITIES, USER, become, helpers_of, parse_report, sides, status_of, wait_confined
from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, tcp_frame
from lines import parse_lines
from network import TIMEOUT, wait_until

root = pytest.mark.needs_root

LONG = ("--timeout-est", "60s")
SHORT = ("--timeout-est", "20ms", "--poll-interval", "10ms")
NONE = "0" * 16
DAC_OVERRIDE = f"{1 << 1:016x}"


def is_gone(pid):
    return status_of(pid).get("State", "Z").startswith("Z")


def helpers(agent):
    """Process IDs of the agent's children that open files"""
    return [pid for name, pid in helpers_of(agent).items() if name == "tcpwin-files"]


def events(lines, kind):
    return [line for line in lines if line["event"] == kind]


def flows_of(*paths):
    return events([line for path in paths for line in parse_lines(path.read_text())], "flow")


def packets_of(flows):
    return sum(side["packets"] for side in sides(flows))


def hang_up(agent, *paths):
    """Renames and signals as logrotate does, waits for the new files, and returns the old ones."""
    moved = [path.rename(path.with_name(f"{path.name}.{len(list(path.parent.iterdir()))}")) for path in paths]
    agent.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: all(path.exists() for path in paths)), agent.stderr()
    return moved


class Traffic:
    """Endless short flows, sent in the background"""

    def __init__(self, wire):
        self.wire, self.sent, self.ending = wire, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ending.is_set():
            flows = [tcp_frame(Endpoint(CLIENT.ip, 1024 + (self.sent + i) % 60000), SERVER) for i in range(200)]
            send(self.wire, *flows)
            self.sent += len(flows)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()

    def more(self, flows):
        goal = self.sent + flows
        assert wait_until(lambda: self.sent >= goal)


# --- SIGHUP ---------------------------------------------------------------------------------------------------------------


@root
@pytest.mark.parametrize("way", ["alone", "persistent"])
def test_no_record_is_lost_by_log_rotation_under_traffic(way, wire, watch, persistent, tmp_path):
    """Every flow and every packet is in exactly one of the files."""
    flows, packets = tmp_path / "flows.json", tmp_path / "packets.json"
    flows.write_text("")
    if way == "persistent":
        agent = persistent.attach(wire.right, wire.RIGHT, options=(*SHORT, "--packets", packets), output=flows)
    else:
        agent = watch(wire, "--output", flows, "--packets", packets, *SHORT)
    old_flows, old_packets = [flows], [packets]
    with Traffic(wire) as traffic:
        for _ in range(4):
            traffic.more(400)
            moved = hang_up(agent, flows, packets)
            old_flows.append(moved[0])
            old_packets.append(moved[1])
        traffic.more(400)
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    if way == "persistent":
        assert persistent.detach(wire.right, output=flows).exit_code == 0
    assert "warning" not in agent.stderr()
    written = flows_of(*old_flows)
    numbers = [flow["flow_id"] for flow in written]
    assert len(set(numbers)) == len(numbers)
    assert packets_of(written) == outcome.report["packets seen"] == traffic.sent
    lines = [line["packet"] for path in old_packets for line in parse_lines(path.read_text())]
    assert sorted(lines) == list(range(1, traffic.sent + 1)), "a packet is missing or duplicated"
    assert sum(1 for path in old_flows if path.stat().st_size) >= 3, "several files were written"


@root
def test_a_new_t2_file_has_the_header(wire, watch, tmp_path):
    flows, packets = tmp_path / "flows.txt", tmp_path / "packets.txt"
    agent = watch(wire, "--format", "t2", "--output", flows, "--packets", packets, *LONG)
    hang_up(agent, flows, packets)
    send(wire, from_client())
    assert agent.stop().exit_code == 0
    assert [line.split("\t")[0] for line in flows.read_text().splitlines()] == ["%dir", "A"]
    assert [line.split("\t")[0] for line in packets.read_text().splitlines()] == ["pktNo", "1"]


@root
def test_sighup_appends_to_an_existing_file(wire, watch, tmp_path):
    """Even without --persistent."""
    flows = tmp_path / "flows.json"
    agent = watch(wire, "--output", flows, *SHORT)
    send(wire, from_client())
    assert wait_until(lambda: flows.read_text())
    before = flows.read_text()
    agent.process.send_signal(signal.SIGHUP)
    send(wire, from_client())
    assert agent.stop().exit_code == 0
    assert flows.read_text().startswith(before) and len(flows_of(flows)) == 2


def replace_by_nothing(path):
    path.unlink()
    path.parent.rmdir()


def replace_by_fifo(path):
    path.unlink()
    os.mkfifo(path)


@root
@pytest.mark.parametrize("replace, why", [(replace_by_nothing, "No such file or directory"),
                                          (replace_by_fifo, "not a regular file|No such device or address")])
def test_a_file_that_cannot_be_reopened_causes_a_warning(replace, why, wire, start_agent, tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    flows = directory / "flows.json"
    agent = start_agent(wire.right, wire.RIGHT, "--output", flows, *LONG).wait_attached(wire.RIGHT)
    with open(flows, encoding="utf-8") as old:
        replace(flows)
        agent.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "warning" in agent.stderr())
        send(wire, from_client())
        outcome = agent.stop()
        record, = parse_lines(old.read())
    sentence, = [line for line in outcome.stderr.splitlines() if "warning" in line]
    assert re.fullmatch(rf"tcpwin-agent: warning: cannot reopen {flows}: .*({why}).*; the old file stays in use", sentence)
    assert (outcome.exit_code, outcome.errors, packets_of([record])) == (0, [], 1)


@root
@pytest.mark.parametrize("output", ["-", "/dev/null"])
def test_only_regular_files_are_reopened(output, wire, watch):
    agent = watch(wire, "--output", output, *LONG)
    assert helpers(agent) == [], "no helper is needed"
    agent.process.send_signal(signal.SIGHUP)
    send(wire, from_client())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, []) and "warning" not in outcome.stderr
    assert len(outcome.records) == (output == "-")


@root
def test_a_hangup_of_the_terminal_ends_the_agent_with_all_records(wire, start_agent, tmp_path):
    master, terminal = pty.openpty()
    flows = tmp_path / "flows.json"
    on_terminal = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); " \
                  "os.execv(sys.argv[2], sys.argv[2:])"
    os.set_inheritable(terminal, True)
    agent = (BINARY, "attach", wire.RIGHT, "--output", flows, *LONG)
    process = subprocess.Popen(
        wire.right.inside("/usr/bin/python3", "-c", on_terminal, terminal, *agent),
        stdin=subprocess.DEVNULL, stderr=open(tmp_path / "stderr", "wb"), pass_fds=[terminal])
    try:
        os.close(terminal)
        assert wait_until(lambda: "attached" in (tmp_path / "stderr").read_text())
        send(wire, from_client())
        os.close(master)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
    assert len(flows_of(flows)) == 1


# --- The helper process that opens files -----------------------------------------------------------------------------------


@root
def test_the_helper_has_only_the_privilege_to_open_files(wire, watch, tmp_path):
    agent = watch(wire, "--output", tmp_path / "flows.json", *LONG)
    wait_confined(agent)
    helper, = helpers(agent)
    assert wait_until(lambda: status_of(helper)["Seccomp"] == "2")
    status = status_of(helper)
    assert [status[name] for name in ("CapPrm", "CapEff")] == [DAC_OVERRIDE] * 2
    assert [status[name] for name in ("CapInh", "CapBnd", "CapAmb")] == [NONE] * 3
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    links = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{helper}/fd").iterdir()]
    assert sorted(link.split(":")[0] for link in links) == ["/dev/null"] * 3 + ["socket"]
    mapped = pathlib.Path(f"/proc/{helper}/maps").read_text()
    assert "anon_inode:bpf" not in mapped
    status = status_of(agent.process.pid)
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [NONE] * 5
    assert status["Uid"].split()[0] == "65534"


@root
@pytest.mark.needs("setpriv")
def test_the_helper_of_a_user_has_the_rights_of_the_user(wire, start_agent, public_directory):
    binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")
    logs = public_directory / "logs"
    logs.mkdir()
    os.chown(logs, USER, USER)
    flows = logs / "flows.json"
    agent = start_agent(wire.right, wire.RIGHT, "--output", flows, *LONG, prefix=[
        "sh", "-c", f'shift; exec {" ".join(become(USER, CAPABILITIES))} "$0" "$@"', binary]).wait_attached(wire.RIGHT)
    helper, = helpers(agent)
    assert wait_until(lambda: status_of(helper)["Seccomp"] == "2")
    status = status_of(helper)
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NONE] * 4
    assert status["Uid"].split() == [str(USER)] * 4
    hang_up(agent, flows)
    send(wire, from_client())
    assert agent.stop().exit_code == 0
    assert len(flows_of(flows)) == 1 and flows.stat().st_uid == USER


@root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_helper_ends_with_the_agent(number, wire, watch, tmp_path):
    agent = watch(wire, "--output", tmp_path / "flows.json", *LONG)
    helper, = helpers(agent)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(helper, ignored)
    hang_up(agent, tmp_path / "flows.json")
    agent.process.send_signal(number)
    agent.process.wait(TIMEOUT)
    assert wait_until(lambda: is_gone(helper))


@root
def test_an_agent_keeps_watching_if_its_helper_dies(wire, watch, tmp_path):
    flows = tmp_path / "flows.json"
    agent = watch(wire, "--output", flows, *LONG)
    helper, = helpers(agent)
    os.kill(helper, signal.SIGKILL)
    assert wait_until(lambda: is_gone(helper))
    for times in (1, 2):
        agent.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: agent.stderr().count("the file helper exited") == times)
    send(wire, from_client())
    assert agent.stop().exit_code == 0
    assert len(flows_of(flows)) == 1


@root
def test_status_names_the_agent_not_its_helper(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    assert len(helpers(agent)) == 1
    status, = persistent.status(wire.right)
    assert status["agent_pid"] == agent.process.pid
    assert agent.stop().exit_code == 0
    assert persistent.detach(wire.right).exit_code == 0


# --- SIGUSR1 --------------------------------------------------------------------------------------------------------------


def reports(stderr):
    """The reports that SIGUSR1 printed, as text"""
    return re.findall(r"^Report at [^\n]*\n(.*?^Flows still in the table: [^\n]*\n)", stderr, re.MULTILINE | re.DOTALL)


@root
@pytest.mark.parametrize("options", [(), ("--quiet",)], ids=" ".join)
def test_sigusr1_prints_a_report(options, wire, start_agent):
    agent = start_agent(wire.right, wire.RIGHT, *options, *LONG)
    assert wait_until(lambda: wire.right.xdp_programs(wire.RIGHT))
    wait_confined(agent)
    for packets in (1, 2):
        send(wire, from_client())
        assert wait_until(lambda: wire.received()[0] == packets)
        agent.process.send_signal(signal.SIGUSR1)
        assert wait_until(lambda: agent.stderr().count("Flows still in the table: 1\n") == packets)
    outcome = agent.stop()
    assert outcome.exit_code == 0
    assert [parse_report(text)["packets seen"] for text in reports(outcome.stderr)] == [1, 2]
    assert re.search(r"^Report at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$", outcome.stderr, re.MULTILINE)
    record, = outcome.records
    assert record["a"]["packets"] == 2


def test_sigusr1_reports_the_progress_of_a_replay(tmp_path):
    """Even while it waits for input from a pipe. The decompressor may hold back some frames."""
    frame = from_client()
    header = struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    half = b"".join(struct.pack("=IIII", 1, i, len(frame), len(frame)) + frame for i in range(5_000))
    err = tmp_path / "stderr"
    with open(err, "wb") as stderr, subprocess.Popen(
            [BINARY, "replay", "-", "--quiet", "--output", tmp_path / "flows"], stdin=subprocess.PIPE, stderr=stderr) as process:
        process.stdin.write(header + half)
        process.stdin.flush()
        assert wait_until(lambda: int(status_of(process.pid)["SigBlk"], 16) & 1 << (signal.SIGUSR1 - 1))

        def asked():
            process.send_signal(signal.SIGUSR1)
            frames = map(int, re.findall(r"^Report after (\d+) frames$", err.read_text(), re.MULTILINE))
            return [count for count in frames if count > 4_000]
        assert wait_until(asked, interval=0.2), err.read_text()
        asked_frames = asked()[-1]
        assert asked_frames <= 5_000
        process.stdin.write(half)
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0
    last = err.read_text().split("Report after ")[-1]
    assert parse_report(last)["packets seen"] == int(last.split()[0]) >= asked_frames
    record, = parse_lines((tmp_path / "flows").read_text())
    assert record["a"]["packets"] == 10_000


# --- --stats-interval -----------------------------------------------------------------------------------------------------


def expected_totals(stats):
    """The sums of the deltas of all lines"""
    sums = {}
    for line in stats:
        for name, value in line["delta"].items():
            sums[name] = sums.get(name, 0) + value
    return sums


@root
@pytest.mark.parametrize("where", ["stdout", "file"])
def test_the_deltas_of_stats_add_up_to_the_totals(where, wire, watch, tmp_path):
    flows = tmp_path / "flows.json"
    output = ("--output", flows) if where == "file" else ()
    agent = watch(wire, *output, "--stats-interval", "100ms", "--timeout-est", "50ms", "--poll-interval", "20ms")
    written = flows if where == "file" else agent.out
    live = from_server(window=0)
    for _ in range(5):
        send(wire, from_client(), live, bytes(12) + b"\x08\x06" + bytes(46), 0.1)
    assert wait_until(lambda: len(events(parse_lines(written.read_text(), whole=False), "stats")) >= 3)
    outcome = agent.stop()
    lines = parse_lines(written.read_text())
    stats, records = events(lines, "stats"), events(lines, "flow")
    last, report = stats[-1], outcome.report

    assert [line["last"] for line in stats] == [False] * (len(stats) - 1) + [True] and lines[-1] == last
    assert expected_totals(stats) == last["totals"], "packets were counted before the first line"
    for before, after in zip(stats, stats[1:]):
        assert all(after["totals"][name] - value == after["delta"][name] for name, value in before["totals"].items())
        assert after["uptime"] == pytest.approx(before["uptime"] + after["interval"])
    totals = last["totals"]
    assert totals["packets"] == report["packets seen"] == 15
    assert totals["tracked"] == report["tcp packets"] == packets_of(records) == 10
    assert totals["not_ip"] == report["rejected not_ip"] == 5
    assert totals["flow_records"] == report["flows"] == totals["flows_created"] == len(records)
    assert totals["packets_below_threshold"] == report["below threshold"] == 5
    assert (last["flows"], last["peak_flows"]) == (0, report["largest number of flows in the table"])


@root
def test_stats_count_live_flows(wire, watch):
    agent = watch(wire, "--stats-interval", "100ms", *LONG)
    send(wire, from_client(), from_client(), from_server())

    def counted():
        return [line for line in parse_lines(agent.out.read_text(), whole=False) if line["totals"]["tracked"] == 3]
    assert wait_until(counted)
    line = counted()[0]
    assert (line["flows"], line["totals"]["flows_created"], line["totals"]["flow_records"]) == (1, 1, 0)
    assert agent.stop().exit_code == 0


@root
def test_the_totals_of_a_second_persistent_agent_include_the_first(wire, persistent):
    """As those of status do. The deltas of its first interval do not."""
    first = persistent.attach(wire.right, wire.RIGHT)
    send(wire, from_client(), from_client())
    assert first.stop().exit_code == 0
    second = persistent.attach(wire.right, wire.RIGHT, options=("--stats-interval", "1h", *LONG))
    send(wire, from_client())
    assert second.stop().exit_code == 0
    line, = events(persistent.records(), "stats")
    assert (line["totals"]["tracked"], line["delta"]["tracked"], line["flows"], line["last"]) == (3, 1, 1, True)
    assert persistent.detach(wire.right).exit_code == 0
