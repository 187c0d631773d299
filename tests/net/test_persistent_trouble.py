# SPDX-License-Identifier: Apache-2.0
"""Pinned state in trouble: other agents, other users, other namespaces, and kills at every step."""
import json
import os
import random
import re
import shutil
import signal

import pytest

from agent import BINARY, CAPABILITIES, USER, become, sides
from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, tcp_frame
from leftovers import LONG, attached_programs
from network import Namespace, run, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("mount", "setpriv", "strace", "bpftool")]

AS_USER = become(USER, CAPABILITIES)


@pytest.fixture
def elsewhere():
    """Another network namespace"""
    made = Namespace()
    yield made
    made.delete()


def configuration(persistent):
    data, = (persistent.bpffs / "tcpwin-agent").glob("*/*/data")
    return json.loads(run("bpftool", "--json", "map", "dump", "pinned", data).stdout)


# ---- two agents ----

def test_a_refused_agent_changes_neither_settings_nor_output(wire, persistent):
    """Neither the settings that the programs of the first agent read nor its file."""
    persistent.attach(wire.right, wire.RIGHT)
    before = configuration(persistent)
    persistent.file.write_text('{"first":"agent"}\n{"being writ')
    for options in ("--persistent", "--timeout-est", "1ms"), ():
        refused = persistent.run(wire.right, "attach", wire.RIGHT, "--output", persistent.file, *options)
        assert refused.exit_code == 1 and "another tcpwin-agent is watching it" in refused.errors[0]
    assert configuration(persistent) == before
    assert persistent.file.read_text() == '{"first":"agent"}\n{"being writ'
    persistent.file.write_text("")  # not a record


def test_a_refused_plain_attach_does_not_truncate_the_output(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    persistent.file.write_text('{"first":"agent"}\n')
    assert persistent.run(wire.right, "attach", wire.RIGHT, "--output", persistent.file).exit_code == 1
    assert persistent.file.read_text() == '{"first":"agent"}\n'
    persistent.file.write_text("")  # not a record


def test_of_two_agents_started_at_once_one_is_refused(wire, persistent):
    for _ in range(3):
        both = [persistent.attach(wire.right, wire.RIGHT, until_attached=False) for _ in range(2)]
        assert wait_until(lambda: any(agent.process.poll() is not None for agent in both)), "none was refused"
        for agent in both:
            if agent.process.poll() is None:
                agent.wait_attached(wire.RIGHT).stop()
        assert sorted(agent.process.returncode for agent in both) == [0, 1], [agent.stderr() for agent in both]
    assert persistent.detach(wire.right).exit_code == 0 and persistent.pinned() == []


def test_any_skips_interfaces_that_another_agent_watches(wire, ends, persistent):
    first = persistent.attach(wire.right, ends[0])
    other = persistent.attach(wire.right, "any", devices=[ends[1]])
    assert f"{ends[0]}: another tcpwin-agent is watching it (process {first.process.pid})" in other.stderr()
    one, two = sorted(persistent.status(wire.right), key=lambda row: row["iface"] != ends[0])
    assert (one["agent_pid"], two["agent_pid"]) == (first.process.pid, other.process.pid)
    assert one["flow_table_id"] != two["flow_table_id"]


# ---- another user ----

def test_a_user_with_three_capabilities_can_attach_and_detach(wire, persistent, public_directory):
    """In the user's own bpffs, with clsact filters; reading the names of programs takes CAP_SYS_ADMIN."""
    run("mount", "-t", "bpf", "-o", f"uid={USER},gid={USER},mode=700", "bpf", public_directory)
    try:
        binary = shutil.copy(BINARY, "/run/tcpwin-t-binary")
        command = [*AS_USER, binary]
        output = ("--bpffs", public_directory, "--output", "/dev/null")
        for _ in range(2):
            done = run(*wire.right.inside(*command, "attach", wire.RIGHT, "--persistent", "--tc-hook", "clsact",
                                          "--duration", "500ms", *output))
        assert "taken over" in done.stderr
        assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]
        run(*wire.right.inside(*command, "detach", *output))
        assert attached_programs(wire.right, wire.RIGHT) == []
        assert not (public_directory / "tcpwin-agent").exists()
    finally:
        os.remove("/run/tcpwin-t-binary")
        run("umount", public_directory)


def test_a_pin_directory_of_another_user_is_reported_as_unreadable(wire, persistent, public_directory):
    """An agent that may not read it must not report that nothing was left."""
    bpffs = public_directory / "bpffs"
    bpffs.mkdir()
    run("mount", "-t", "bpf", "-o", "mode=777", "bpf", bpffs)
    try:
        run(*wire.right.inside(BINARY, "attach", wire.RIGHT, "--persistent", "--bpffs", bpffs, "--duration", "500ms"))
        binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")
        for words in ("detach",), ("attach", wire.RIGHT, "--persistent"):
            done = run(*wire.right.inside(*AS_USER, binary, *words, "--bpffs", bpffs), check=False)
            assert done.returncode == 77 and f"cannot read {bpffs}/tcpwin-agent: Permission denied" in done.stderr
        plain = run(*wire.right.inside(*AS_USER, binary, "attach", wire.RIGHT, "--bpffs", bpffs), check=False)
        assert plain.returncode == 1 and "already has the XDP program" in plain.stderr
        assert "tcpwin-agent detach" in plain.stderr
        run(*wire.right.inside(BINARY, "detach", "--bpffs", bpffs))
    finally:
        run("umount", bpffs)


# ---- the bpffs ----

def test_a_running_agent_keeps_the_bpffs_busy(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    assert "busy" in run("umount", persistent.bpffs, check=False).stderr
    agent.stop()


def test_an_agent_whose_pins_were_removed_writes_its_flows_at_the_end(wire, persistent):
    """Nothing would outlive it."""
    agent = persistent.attach(wire.right, wire.RIGHT)
    send(wire, from_client())
    shutil.rmtree(persistent.bpffs / "tcpwin-agent")
    outcome = agent.stop()
    assert outcome.exit_code == 0 and "the pins have been removed" in outcome.stderr
    assert persistent.packets() == 1
    assert attached_programs(wire.right, wire.RIGHT) == []


# ---- interfaces ----

def test_pins_of_a_deleted_namespace_are_shown_and_detached_from_any_other(wire, persistent, elsewhere):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    assert persistent.status(elsewhere) == []
    wire.right.delete()
    assert wait_until(lambda: persistent.status(elsewhere) != [])
    row, = persistent.status(elsewhere)
    assert (row["iface"], row["hooks"], row["flows"]) == (wire.RIGHT, [], 1)
    assert f"{wire.RIGHT} (index {row['ifindex']}): deleted" in persistent.run(elsewhere, "status").stdout
    done = persistent.detach(elsewhere)
    assert done.exit_code == 0 and "was deleted in another network namespace" in done.stderr
    assert [record["in_iface"] for record in persistent.records()] == [wire.RIGHT]
    assert persistent.pinned() == []


def test_detach_leaves_interfaces_of_other_namespaces_alone(wire, persistent, elsewhere):
    persistent.attach(wire.right, wire.RIGHT).kill()
    done = persistent.detach(elsewhere)
    assert done.exit_code == 0 and "nothing was left attached" in done.stderr
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]


@pytest.mark.parametrize("alive", [True, False])
def test_an_interface_moved_to_another_namespace_is_detached(alive, wire, ends, persistent, elsewhere):
    """It takes its programs along."""
    agent = persistent.attach(wire.right, *ends)
    send(wire, from_client())
    if not alive:
        agent.kill()
    wire.right.ip("link", "set", "dev", ends[0], "netns", elsewhere.name)
    if alive:
        assert wait_until(lambda: f"interface {ends[0]} was deleted" in agent.stderr())
    else:
        assert attached_programs(elsewhere, ends[0]) == ["tcpwin_egress", "tcpwin_xdp"]
        assert f"{ends[0]} " in (text := persistent.run(wire.right, "status").stdout) and "in another network namespace" in text
        agent = persistent.attach(wire.right, ends[1])
    assert wait_until(lambda: attached_programs(elsewhere, ends[0]) == [])
    agent.stop()
    assert persistent.detach(wire.right).exit_code == 0
    assert [(record["in_iface"], record["end_reason"]) for record in persistent.records()] == [(ends[0], "interface_gone")]
    assert persistent.pinned() == []


def test_records_of_a_deleted_interface_wait_while_the_disk_is_full(wire, ends, persistent):
    """The next agent still knows the name of the interface."""
    agent = persistent.attach(wire.right, *ends, output="/dev/full")
    send(wire, from_client())
    wire.right.ip("link", "delete", "dev", ends[0])
    assert agent.wait().exit_code == 1
    persistent.attach(wire.right, ends[1], output="/dev/full", until_attached=False).wait()
    agent = persistent.attach(wire.right, ends[1])
    assert wait_until(lambda: len(persistent.file.read_text().splitlines()) == 1)
    agent.stop()
    assert {(record["in_iface"], record["end_reason"]) for record in persistent.records()} == {(ends[0], "interface_gone")}


def test_the_pins_of_an_interface_deleted_under_an_agent_are_removed_by_the_next(wire, ends, persistent):
    """The agent itself no longer has the privilege to remove directories."""
    agent = persistent.attach(wire.right, *ends)
    send(wire, from_client())
    wire.right.ip("link", "delete", "dev", ends[0])
    assert wait_until(lambda: len(persistent.file.read_text().splitlines()) == 1)
    assert {row["iface"]: row["hooks"] == [] for row in persistent.status(wire.right)} == {ends[0]: True, ends[1]: False}
    agent.stop()
    persistent.attach(wire.right, ends[1]).stop()
    assert [row["iface"] for row in persistent.status(wire.right)] == [ends[1]]


def test_a_renamed_interface_is_found(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    for words in ("down",), ("name", "fifteen-letters"), ("up",):
        wire.right.ip("link", "set", "dev", "fifteen-letters" if words == ("up",) else wire.RIGHT, *words)
    assert [row["iface"] for row in persistent.status(wire.right)] == ["fifteen-letters"]
    assert persistent.detach(wire.right, "fifteen-letters").exit_code == 0
    assert [record["in_iface"] for record in persistent.records()] == ["fifteen-letters"]


def test_detached_links_are_attached_again(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    for link in (persistent.bpffs / "tcpwin-agent").glob("*/*/link_*"):
        run("bpftool", "link", "detach", "pinned", link)
    assert f"{wire.RIGHT} " in (text := persistent.run(wire.right, "status").stdout) and "nothing is attached" in text
    agent = persistent.attach(wire.right, wire.RIGHT)
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]
    agent.stop()


def test_the_next_agent_can_add_a_direction(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, "--direction", "ingress")).kill()
    send(wire, from_client())
    persistent.attach(wire.right, wire.RIGHT).stop()
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]
    persistent.detach(wire.right)
    assert persistent.packets() == 1


def test_a_full_table_is_taken_over(wire, persistent):
    options = (*LONG, "--max-flows", "8")
    persistent.attach(wire.right, wire.RIGHT, options=options).kill()
    for client in (Endpoint(CLIENT.ip, 40000 + number) for number in range(20)):
        send(wire, tcp_frame(client, SERVER), tcp_frame(SERVER, client))
    agent = persistent.attach(wire.right, wire.RIGHT, options=("--timeout-est", "1ms", "--max-flows", "8"))
    assert wait_until(lambda: persistent.status(wire.right)[0]["flows"] == 0)
    assert len(persistent.records()) == 8
    send(wire, tcp_frame(Endpoint(CLIENT.ip, 50000), SERVER))
    assert wait_until(lambda: 50000 in [record["a"]["port"] for record in persistent.records()])
    agent.stop()
    last = persistent.detach(wire.right)
    assert persistent.packets() + last.report["lost untracked_full"] == last.report["tcp packets"] == 41


def test_the_next_agent_finds_the_flows_to_evict(wire, persistent):
    """Its programs continue where those of the killed agent stopped."""
    options = (*LONG, "--max-flows", "8")
    frames = [tcp_frame(Endpoint(CLIENT.ip, 40000 + number), SERVER, flags=0x02) for number in range(20)]
    persistent.attach(wire.right, wire.RIGHT, options=options).kill()
    send(wire, *frames[:10])
    agent = persistent.attach(wire.right, wire.RIGHT, options=options)
    send(wire, *frames[10:])
    assert wait_until(lambda: len(persistent.records()) == 12)
    assert [(record["a"]["port"], record["end_reason"]) for record in persistent.records()] == [
        (40000 + number, "evicted") for number in range(12)]
    agent.stop()
    last = persistent.detach(wire.right)
    assert (persistent.packets(), last.report["tcp packets"]) == (20, 20)


# ---- outputs ----

def test_records_lost_to_a_closed_fifo_wait_for_the_next_agent(wire, persistent, tmp_path):
    """An agent that still waits for a reader can be interrupted."""
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    waiting = persistent.attach(wire.right, wire.RIGHT, output=fifo, until_attached=False)
    assert wait_until(lambda: "fifo_open" in run("cat", f"/proc/{waiting.process.pid}/stack", check=False).stdout or
                      "wait_for_partner" in run("cat", f"/proc/{waiting.process.pid}/wchan", check=False).stdout)
    assert waiting.stop().exit_code == -signal.SIGINT
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    agent = persistent.attach(wire.right, wire.RIGHT, output=fifo)
    os.close(reader)
    outcome = agent.wait()
    assert outcome.exit_code == 1 and "its reader closed it" in outcome.errors[0]
    persistent.detach(wire.right)
    assert persistent.packets() == 1


# ---- killed at each step ----

CALLS = "bpf,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,sendmsg,sendto"
PINNING = re.compile(r"BPF_OBJ_PIN|BPF_LINK|rename|unlink|rmdir|mkdir|BPF_PROG_TEST_RUN|send")


def steps(trace):
    """(system call, how many calls of that name so far) for each call that changes something"""
    counts, wanted = {}, []
    for line in trace.read_text().splitlines():
        if found := re.match(r"\d+ +(\w+)\(", line):
            counts[found[1]] = counts.get(found[1], 0) + 1
            if PINNING.search(line):
                wanted.append((found[1], counts[found[1]]))
    return wanted


@pytest.mark.parametrize("hook", ["native", "clsact"])
@pytest.mark.parametrize("command", ["attach", "adopt", "detach"])
def test_killed_at_each_step(command, hook, wire, persistent, tmp_path):
    """The next agent and detach find every packet and leave nothing. Each run picks some of the steps at random."""
    hooks = ("--mode", "native") if hook == "native" else ("--mode", "tc", "--tc-hook", "clsact")
    common = ("--bpffs", persistent.bpffs, "--output", persistent.file, "--quiet")
    attach = (BINARY, "attach", wire.RIGHT, "--persistent", "--duration", "1ms", *hooks, *LONG, *common)
    words = (BINARY, "detach", *common) if command == "detach" else attach
    trace = tmp_path / "trace"

    def prepare():
        persistent.file.write_text("")
        if command != "attach":
            run(*wire.right.inside(*attach))
            send(wire, from_client(), from_server())

    prepare()
    run(*wire.right.inside("strace", "-f", "-o", trace, "-e", f"trace={CALLS}", *words))
    run(*wire.right.inside(BINARY, "detach", *common))
    all_steps = steps(trace)
    assert len(all_steps) > 10
    some = int(os.environ.get("TCPWIN_STEPS", "4"))
    for call, count in random.sample(all_steps, min(some, len(all_steps))):
        prepare()
        run(*wire.right.inside("strace", "-f", "-o", trace, "-e", f"trace={call}",
                               "-e", f"inject={call}:signal=KILL:when={count}", *words), check=False)
        send(wire, from_client())
        run(*wire.right.inside(*attach))
        send(wire, from_client(), from_server())
        run(*wire.right.inside(BINARY, "detach", *common))
        sent = {"attach": (2, 3), "adopt": (5, 5), "detach": (2, 5)}[command]
        flows = {(record["flow_id"], record["start_ns"] // 10**9): record for record in persistent.records()}.values()
        packets = sum(side["packets"] for side in sides(flows))
        assert sent[0] <= packets <= sent[1], (call, count, persistent.records())
        assert attached_programs(wire.right, wire.RIGHT) == [] and persistent.pinned() == [], (call, count)
