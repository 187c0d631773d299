# SPDX-License-Identifier: Apache-2.0
"""attach --persistent: programs, links and maps outlive the agent, and the next agent takes them over."""
import contextlib
import os
import re
import signal
import threading
import time

import pytest

from agent import BINARY, HOOKS, run_agent
from frames import from_client, from_server, send
from leftovers import LONG, attached_programs
from network import wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool", "mount")]

OTHER_LAYOUT = os.environ.get("TCPWIN_OTHER_AGENT", "")


@contextlib.contextmanager
def busy(connection):
    """Both sides send and read while the block runs; nothing is in flight at its end."""
    enough = threading.Event()

    def talk():
        while not enough.is_set():
            connection.transfer(200_001, 150_003)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        time.sleep(0.05)
        yield
        time.sleep(0.05)
    finally:
        enough.set()
        thread.join()


# ---- an agent that is killed ----

@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("version", [4, 6])
def test_no_packet_is_lost_if_the_agent_is_killed_during_a_transfer(hook, version, topology, persistent):
    """Records, packets seen and the sockets agree; the connection stays one flow."""
    topology.pair()
    agent = persistent.attach(topology.server, "s0", options=(*LONG, *HOOKS[hook]))
    connection = topology.connect(version)
    with busy(connection):
        agent.kill()
        time.sleep(0.05)
        second = persistent.attach(topology.server, "s0", options=(*LONG, *HOOKS[hook]))
    assert "taken over" in second.stderr()
    outcome = second.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    last = persistent.detach(topology.server)

    assert (last.exit_code, last.errors) == (0, [])
    record, = persistent.records()
    counted = [(side["packets"], side["bytes"]) for side in (record["a"], record["b"])]
    if hook != "generic":  # which counts merged frames as one packet
        assert counted == [connection.on_the_wire("client"), connection.on_the_wire("server")]
    assert last.report["tcp packets"] == persistent.packets()
    assert not any(name.startswith("lost ") for name in last.report)
    assert attached_programs(topology.server, "s0") == [] and persistent.pinned() == []


def test_no_packet_is_lost_if_agents_are_killed_again_and_again(topology, persistent):
    """With short timeouts flows end all the time. Each packet is in one record, whichever agent wrote it."""
    options = ("--timeout-est", "20ms", "--timeout-bgn", "20ms", "--timeout-abrt", "1ms", "--poll-interval", "5ms")
    topology.pair()
    connections, stop = [topology.connect(4) for _ in range(8)], threading.Event()

    def talk(connection, pause):
        while not stop.is_set():
            connection.client.sendall(b"x" * 5000)
            connection.server.recv(65536)
            time.sleep(pause)

    agent = persistent.attach(topology.server, "s0", options=options)
    threads = [threading.Thread(target=talk, args=(connection, 0.005 * (1 + number)))
               for number, connection in enumerate(connections)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        time.sleep(0.2)
        agent.kill()
        agent = persistent.attach(topology.server, "s0", options=options)
    stop.set()
    for thread in threads:
        thread.join()
    assert agent.stop().exit_code == 0
    last = persistent.detach(topology.server)

    ids = [record["flow_id"] for record in persistent.records()]
    assert last.report["tcp packets"] == persistent.packets() > 1000
    assert len(ids) == len(set(ids)) > 50
    assert not any(name.startswith("lost ") for name in last.report)


def test_counting_continues_without_an_agent(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client(), from_server(), from_client())
    before, = persistent.status(wire.right)
    assert (before["iface"], before["persistent"], before["agent_pid"]) == (wire.RIGHT, True, None)
    assert (before["flows"], before["counters"]["tracked"]) == (1, 3)

    agent = persistent.attach(wire.right, wire.RIGHT)
    after, = persistent.status(wire.right)
    assert after["agent_pid"] == agent.process.pid
    assert after["flow_table_id"] == before["flow_table_id"]
    assert after["since"] == before["since"]
    send(wire, from_client())
    agent.stop()
    persistent.detach(wire.right)
    record, = persistent.records()
    assert (record["end_reason"], record["a"]["packets"], record["b"]["packets"]) == ("shutdown", 3, 1)


def test_records_of_idle_flows_wait_for_the_next_agent(wire, persistent):
    options = ("--timeout-est", "10ms")
    persistent.attach(wire.right, wire.RIGHT, options=options).kill()
    send(wire, from_client(), 0.1, from_client())  # the second packet cuts the flow: a record in the ring buffer
    agent = persistent.attach(wire.right, wire.RIGHT, options=options)
    assert wait_until(lambda: len(persistent.records()) == 2)
    agent.stop()
    assert {record["end_reason"] for record in persistent.records()} == {"idle_timeout"}


# ---- an agent that is stopped ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_everything_attached(number, wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    programs = attached_programs(wire.right, wire.RIGHT)
    assert programs == ["tcpwin_egress", "tcpwin_xdp"]
    send(wire, from_client())
    outcome = agent.stop(number)
    assert outcome.exit_code == 0 and persistent.records() == []
    assert f"{wire.RIGHT} stays attached" in outcome.stderr
    assert outcome.report["flows still in the table"] == 1
    assert attached_programs(wire.right, wire.RIGHT) == programs


def test_pin_directories_are_private(wire, persistent, bpffs):
    persistent.attach(wire.right, wire.RIGHT).kill()
    directories = [path for path in (bpffs / "tcpwin-agent").rglob("*") if path.is_dir()] + [bpffs / "tcpwin-agent"]
    assert len(directories) == 3
    assert {path.stat().st_mode & 0o777 for path in directories} == {0o700}


def test_records_that_could_not_be_written_wait_for_the_next_agent(wire, persistent):
    options = ("--timeout-est", "10ms")
    agent = persistent.attach(wire.right, wire.RIGHT, options=options, output="/dev/full")
    send(wire, from_client(), from_server())
    outcome = agent.wait()
    assert outcome.exit_code == 1 and "No space left on device" in outcome.errors[0]
    agent = persistent.attach(wire.right, wire.RIGHT, options=options)
    assert wait_until(lambda: len(persistent.records()) == 1)
    agent.stop()
    assert persistent.packets() == 2


def test_detach_to_a_full_disk_loses_nothing(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    failed = persistent.detach(wire.right, output="/dev/full")
    assert failed.exit_code == 1 and "No space left on device" in failed.errors[0] and "pinned" in failed.errors[0]
    assert persistent.detach(wire.right).exit_code == 0
    assert persistent.packets() == 1 and persistent.pinned() == []


def test_the_next_agent_appends_after_the_last_complete_line(wire, persistent):
    options = ("--timeout-est", "10ms")
    for count in 1, 2:
        agent = persistent.attach(wire.right, wire.RIGHT, options=options)
        send(wire, from_client())
        assert wait_until(lambda: persistent.file.read_text().count("\n") == count)
        agent.stop()
        with open(persistent.file, "a", encoding="ascii") as file:
            file.write('{"torn')
    persistent.attach(wire.right, wire.RIGHT, options=options).stop()
    assert [record["flow_id"] for record in persistent.records()] == [1, 2]


def test_t2_writes_the_header_once(wire, persistent):
    options = ("--timeout-est", "10ms", "--format", "t2")
    for count in 1, 2:
        agent = persistent.attach(wire.right, wire.RIGHT, options=options)
        send(wire, from_client())
        assert wait_until(lambda: len(persistent.file.read_text().splitlines()) == 1 + count)
        agent.stop()
    assert [line.startswith("%") for line in persistent.file.read_text().splitlines()] == [True, False, False]


# ---- another agent ----

def test_a_second_agent_is_refused_by_name(wire, persistent):
    first = persistent.attach(wire.right, wire.RIGHT)
    for command in ("attach", wire.RIGHT, "--persistent"), ("attach", wire.RIGHT), ("detach",), ("detach", wire.RIGHT):
        outcome = persistent.run(wire.right, *command)
        assert outcome.exit_code == 1
        assert f"process {first.process.pid}" in outcome.errors[0], command
    send(wire, from_client())
    assert persistent.status(wire.right)[0]["counters"]["tracked"] == 1


def test_plain_attach_names_the_programs_that_were_left(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    outcome = persistent.run(wire.right, "attach", wire.RIGHT)
    assert outcome.exit_code == 1
    assert re.search(f"left its programs attached; 'attach --persistent {wire.RIGHT}' .*'detach {wire.RIGHT}'",
                     outcome.errors[0])


@pytest.mark.parametrize("first,then,programs", [
    ("native", "tcx", ["tcpwin_egress", "tcpwin_ingress"]),
    ("native", "clsact", ["tcpwin_egress", "tcpwin_ingress"]),
    ("clsact", "native", ["tcpwin_egress", "tcpwin_xdp"]),
    ("tcx", "generic", ["tcpwin_egress", "tcpwin_xdp"]),
])
def test_the_next_agent_can_change_the_hooks(first, then, programs, wire, persistent):
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, *HOOKS[first])).kill()
    send(wire, from_client())
    agent = persistent.attach(wire.right, wire.RIGHT, options=(*LONG, *HOOKS[then]))
    send(wire, from_client())
    assert attached_programs(wire.right, wire.RIGHT) == programs
    agent.stop()
    persistent.detach(wire.right)
    assert persistent.packets() == 2
    assert attached_programs(wire.right, wire.RIGHT) == []


def test_the_next_agent_can_drop_a_direction(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, "--direction", "ingress")).stop()
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_xdp"]


def test_new_settings_apply_to_existing_flows(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    agent = persistent.attach(wire.right, wire.RIGHT, options=("--timeout-est", "1ms"))
    assert wait_until(lambda: len(persistent.records()) == 1)
    agent.stop()
    assert persistent.records()[0]["a"]["timeout"] == 0.001


def test_the_table_keeps_its_size(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, "--max-flows", "1000")).kill()
    agent = persistent.attach(wire.right, wire.RIGHT, options=(*LONG, "--max-flows", "2000"))
    assert "keeps its size of 1000 entries" in agent.stderr()
    assert persistent.status(wire.right)[0]["max_flows"] == 1000


# ---- several interfaces ----

def test_interfaces_that_share_a_table_must_be_attached_together(wire, ends, persistent):
    persistent.attach(wire.right, *ends).kill()
    refused = persistent.run(wire.right, "attach", ends[0], "--persistent")
    assert refused.exit_code == 1 and f"name {ends[1]} as well" in refused.errors[0]
    send(wire, from_client())
    agent = persistent.attach(wire.right, *ends)
    one, other = persistent.status(wire.right)
    assert one["flow_table_id"] == other["flow_table_id"]
    assert one["agent_pid"] == other["agent_pid"] == agent.process.pid
    agent.stop()

    first = persistent.detach(wire.right, ends[0])
    assert first.exit_code == 0 and persistent.file.read_text() == "", "its flows stay in the shared table"
    assert attached_programs(wire.right, ends[0]) == []
    assert attached_programs(wire.right, ends[1]) == ["tcpwin_egress", "tcpwin_xdp"]
    assert persistent.detach(wire.right, ends[1]).exit_code == 0
    record, = persistent.records()
    assert (record["in_iface"], record["a"]["packets"]) == (ends[0], 1)
    assert persistent.pinned() == []


def test_the_next_agent_can_add_an_interface(wire, ends, persistent):
    persistent.attach(wire.right, ends[0]).kill()
    persistent.attach(wire.right, *ends).kill()
    assert len({row["flow_table_id"] for row in persistent.status(wire.right)}) == 1


def test_the_tables_of_two_agents_are_not_merged(wire, ends, persistent):
    for end in ends:
        persistent.attach(wire.right, end).kill()
    outcome = persistent.run(wire.right, "attach", *ends, "--persistent")
    assert outcome.exit_code == 1 and "no flow table in common" in outcome.errors[0]
    assert len({row["flow_table_id"] for row in persistent.status(wire.right)}) == 2


def test_an_interface_deleted_while_no_agent_runs_is_reported(wire, ends, persistent):
    persistent.attach(wire.right, *ends).kill()
    send(wire, from_client())
    wire.right.ip("link", "delete", "dev", ends[0])
    gone, = [row for row in persistent.status(wire.right) if row["hooks"] == []]
    assert (gone["iface"], gone["flows"]) == (ends[0], 1)
    agent = persistent.attach(wire.right, ends[1])
    assert wait_until(lambda: [record["end_reason"] for record in persistent.records()] == ["interface_gone"])
    assert persistent.records()[0]["in_iface"] == ends[0]
    assert [row["iface"] for row in persistent.status(wire.right)] == [ends[1]]
    agent.stop()


def test_detach_writes_the_flows_of_a_deleted_interface(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    wire.right.ip("link", "delete", "dev", wire.RIGHT)
    assert persistent.detach(wire.right).exit_code == 0
    assert [record["in_iface"] for record in persistent.records()] == [wire.RIGHT]
    assert persistent.pinned() == []


def test_per_interface_flows_are_taken_over(wire, ends, persistent):
    options = (*LONG, "--per-interface")
    persistent.attach(wire.right, *ends, options=options).kill()
    send(wire, from_client())
    agent = persistent.attach(wire.right, *ends, options=options)
    send(wire, from_client())
    agent.stop()
    persistent.detach(wire.right)
    record, = persistent.records()
    assert record["a"]["packets"] == 2


def test_any_takes_over_all_interfaces(wire, ends, persistent):
    agent = persistent.attach(wire.right, "any", devices=ends)
    wire.right.ip("link", "add", "name", "later0", "type", "veth", "peer", "name", "later1")
    wire.right.ip("link", "set", "dev", "later0", "up")
    agent.wait_attached("later0")
    agent.kill()
    wire.right.ip("link", "set", "dev", "later0", "down")
    assert {row["iface"] for row in persistent.status(wire.right)} == {*ends, "later0"}
    again = persistent.attach(wire.right, "any", devices=(*ends, "later0"))
    assert again.stop().exit_code == 0


# ---- another version ----

@pytest.fixture
def other_version():
    assert os.access(OTHER_LAYOUT, os.X_OK), "other_agent is not built, or not named in TCPWIN_OTHER_AGENT"
    return OTHER_LAYOUT


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", ["upgrade", "downgrade"])
def test_a_version_with_another_layout_replaces_the_programs(way, hook, topology, persistent, other_version):
    """The flows of the old table are written, the counters continue, and no packet is lost in between."""
    versions = {"upgrade": (other_version, BINARY), "downgrade": (BINARY, other_version)}[way]
    topology.pair()
    options = (*LONG, *HOOKS[hook])
    first = persistent.attach(topology.server, "s0", options=options, binary=versions[0])
    connection = topology.connect(4)
    with busy(connection):
        first.kill()
        second = persistent.attach(topology.server, "s0", options=options, binary=versions[1])
    outcome = second.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    done = run_agent("detach", "--bpffs", persistent.bpffs, "--output", persistent.file, binary=versions[1],
                     prefix=topology.server.inside())
    assert done.exit_code == 0, done.stderr

    before, after = persistent.records()
    assert before["end_reason"] == after["end_reason"] == "shutdown"
    for number, side in enumerate(("client", "server")):
        ours = [record["a" if record["a"]["port"] == connection.endpoint(side)[1] else "b"]
                for record in (before, after)]
        if hook != "generic":
            assert sum(half["packets"] for half in ours) == connection.on_the_wire(side)[0]
            assert sum(half["bytes"] for half in ours) == connection.on_the_wire(side)[1]
    assert f"TCP packets: {persistent.packets()} " in done.stderr
    assert persistent.pinned() == []


def test_status_and_detach_understand_another_layout(wire, persistent, other_version):
    persistent.attach(wire.right, wire.RIGHT, binary=other_version).kill()
    send(wire, from_client(), from_server())
    for path in persistent.pinned():
        if path.name == "stalled_hosts":
            path.rename(path.with_name("sources"))  # its name up to layout 3
    row, = persistent.status(wire.right)
    assert (row["flows"], row["counters"]["tracked"], row["since"] is not None) == (1, 2, True)
    assert persistent.detach(wire.right).exit_code == 0
    record, = persistent.records()
    assert (record["in_iface"], record["a"]["packets"], record["b"]["packets"]) == (wire.RIGHT, 1, 1)


# ---- status, and errors ----

def test_status_prints_text(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    send(wire, from_client())
    text = persistent.run(wire.right, "status").stdout
    first, *rest = text.splitlines()
    assert re.fullmatch(rf"{wire.RIGHT} \(index \d+\): native XDP, TCX egress; since \d{{4}}-.*Z; "
                        rf"persistent, process {agent.process.pid}", first)
    assert {"  flows in the table: 1 of 262144", "  tracked: 1"} <= set(rest)


def test_status_shows_agents_that_are_not_persistent(wire, persistent, watch):
    agent = watch(wire, *LONG)
    row, = persistent.status(wire.right)
    assert (row["persistent"], row["agent_pid"]) == (False, agent.process.pid)
    agent.stop()
    assert persistent.run(wire.right, "status").stdout == "Nothing is attached.\n"


def test_status_can_be_limited_to_one_interface(wire, ends, persistent):
    persistent.attach(wire.right, *ends).kill()
    assert [row["iface"] for row in persistent.run(wire.right, "status", "--json", ends[1]).records] == [ends[1]]
    unknown = persistent.run(wire.right, "status", "nosuch0")
    assert unknown.exit_code == 1 and "there is no such interface" in unknown.errors[0]


def test_detach_succeeds_if_nothing_was_left(wire, persistent):
    assert persistent.run(wire.right, "detach").exit_code == 0
    named = persistent.run(wire.right, "detach", wire.RIGHT)
    assert named.exit_code == 1 and "no persistent agent has left anything there" in named.errors[0]
    unknown = persistent.run(wire.right, "detach", "nosuch0")
    assert unknown.exit_code == 1 and "there is no such interface" in unknown.errors[0]


def test_a_missing_bpffs_is_an_error_that_names_the_mount_command(wire, persistent, tmp_path):
    for command in ("attach", wire.RIGHT, "--persistent"), ("detach",):
        outcome = run_agent(*command, "--bpffs", tmp_path, prefix=wire.right.inside())
        assert outcome.exit_code == 1 and f"mount -t bpf bpf {tmp_path}" in outcome.errors[0]
    assert wire.right.xdp_programs(wire.RIGHT) == []


@pytest.mark.needs("setpriv")
def test_status_needs_root(wire, persistent):
    outcome = run_agent("status", prefix=wire.right.inside("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert outcome.exit_code == 77 and "run as root" in outcome.errors[0]


def test_nothing_is_pinned_if_the_second_interface_cannot_be_attached(wire, ends, persistent, start_agent):
    """Another agent watches it."""
    start_agent(wire.right, ends[1]).wait_attached(ends[1])
    refused = persistent.run(wire.right, "attach", "--persistent", *ends)
    assert refused.exit_code == 1 and "another tcpwin-agent is watching it" in refused.errors[0]
    assert attached_programs(wire.right, ends[0]) == [] and persistent.pinned() == []
