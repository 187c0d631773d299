# SPDX-License-Identifier: Apache-2.0
"""What is pinned, when something is in its way: other agents, other users, other namespaces, kills at every step."""
import json
import os
import random
import re
import shutil
import signal
import subprocess

import pytest

from agent import BINARY, run_agent
from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, tcp_frame
from leftovers import LONG, attached_programs
from network import Namespace, run, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("mount", "setpriv", "strace", "bpftool")]

USER = 1000
THREE = "bpf,+net_admin,+perfmon"
AS_USER = (f"setpriv --reuid {USER} --regid {USER} --clear-groups "
           f"--bounding-set=-all,+{THREE} --inh-caps=-all,+{THREE} --ambient-caps=-all,+{THREE}").split()


@pytest.fixture
def elsewhere():
    """Another network namespace."""
    made = Namespace()
    yield made
    made.delete()


def configuration(persistent):
    data, = (persistent.bpffs / "tcpwin-agent").glob("*/*/data")
    return json.loads(run("bpftool", "--json", "map", "dump", "pinned", data).stdout)


# ---- two agents ----

def test_refused_agent_touches_nothing(wire, persistent):
    """Neither the configuration that the first one's programs read, nor its file."""
    persistent.attach(wire.right, wire.RIGHT)
    before = configuration(persistent)
    persistent.file.write_text('{"first":"agent"}\n{"being writ')
    for options in ("--persistent", "--timeout-est", "1ms"), ():
        refused = persistent.run(wire.right, "attach", wire.RIGHT, "--output", persistent.file, *options)
        assert refused.exit_code == 1 and "another tcpwin-agent watches it" in refused.errors[0]
    assert configuration(persistent) == before
    assert persistent.file.read_text() == '{"first":"agent"}\n{"being writ'
    persistent.file.write_text("")  # it is no record


def test_refused_plain_attach_empties_no_file(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    persistent.file.write_text('{"first":"agent"}\n')
    assert persistent.run(wire.right, "attach", wire.RIGHT, "--output", persistent.file).exit_code == 1
    assert persistent.file.read_text() == '{"first":"agent"}\n'
    persistent.file.write_text("")  # it is no record


def test_two_agents_at_the_same_time(wire, persistent):
    command = wire.right.inside(BINARY, "attach", wire.RIGHT, "--persistent", "--bpffs", persistent.bpffs, "--duration", "1s",
                                "--output", persistent.file)
    for _ in range(3):
        both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [one.communicate(timeout=20)[1] for one in both]
        assert sorted(one.returncode for one in both) == [0, 1], said
    assert persistent.detach(wire.right).exit_code == 0 and persistent.pinned() == []


def test_any_leaves_alone_what_another_agent_watches(wire, ends, persistent):
    first = persistent.attach(wire.right, ends[0])
    other = persistent.attach(wire.right, "any", devices=[ends[1]])
    assert f"{ends[0]}: another tcpwin-agent watches it (process {first.process.pid})" in other.stderr()
    one, two = sorted(persistent.status(wire.right), key=lambda row: row["iface"] != ends[0])
    assert (one["agent_pid"], two["agent_pid"]) == (first.process.pid, other.process.pid)
    assert one["flow_table_id"] != two["flow_table_id"]


# ---- another user ----

def test_user_with_three_capabilities(wire, persistent, public_directory):
    """In a bpffs of his own, with the filters of clsact, whose names only CAP_SYS_ADMIN may ask for."""
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


def test_directory_of_somebody_else(wire, persistent, public_directory):
    """Not "nothing was left": whoever may not look says so."""
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

def test_bpffs_in_use_is_not_unmounted(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    assert "busy" in run("umount", persistent.bpffs, check=False).stderr
    agent.stop()


def test_pins_that_somebody_removed(wire, persistent):
    """Then nothing outlives the agent: it writes its flows at its end."""
    agent = persistent.attach(wire.right, wire.RIGHT)
    send(wire, from_client())
    shutil.rmtree(persistent.bpffs / "tcpwin-agent")
    outcome = agent.stop()
    assert outcome.exit_code == 0 and "the pins have been removed" in outcome.stderr
    assert persistent.packets() == 1
    assert attached_programs(wire.right, wire.RIGHT) == []


# ---- interfaces ----

def test_namespace_is_deleted(wire, persistent, elsewhere):
    """Of its agents nobody would hear again: any other namespace shows what is left, and detach writes it."""
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


def test_interfaces_of_other_namespaces_stay(wire, persistent, elsewhere):
    persistent.attach(wire.right, wire.RIGHT).kill()
    done = persistent.detach(elsewhere)
    assert done.exit_code == 0 and "nothing was left attached" in done.stderr
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]


@pytest.mark.parametrize("alive", [True, False])
def test_interface_goes_to_another_namespace(alive, wire, ends, persistent, elsewhere):
    """It takes its programs along, which somebody has to detach."""
    agent = persistent.attach(wire.right, *ends)
    send(wire, from_client())
    if not alive:
        agent.kill()
    run("ip", "-n", wire.right.name, "link", "set", "dev", ends[0], "netns", elsewhere.name)
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


def test_interface_is_deleted_and_the_disk_is_full(wire, ends, persistent):
    """The record waits for the next agent, which knows the interface's name."""
    agent = persistent.attach(wire.right, *ends, output="/dev/full")
    send(wire, from_client())
    run("ip", "-n", wire.right.name, "link", "delete", "dev", ends[0])
    assert agent.wait().exit_code == 1
    persistent.attach(wire.right, ends[1], output="/dev/full", until_attached=False).wait()
    agent = persistent.attach(wire.right, ends[1])
    assert wait_until(lambda: len(persistent.file.read_text().splitlines()) == 1)
    agent.stop()
    assert {(record["in_iface"], record["end_reason"]) for record in persistent.records()} == {(ends[0], "interface_gone")}


def test_deleted_while_its_agent_runs(wire, ends, persistent):
    """The agent may not remove directories any more: the next one does."""
    agent = persistent.attach(wire.right, *ends)
    send(wire, from_client())
    run("ip", "-n", wire.right.name, "link", "delete", "dev", ends[0])
    assert wait_until(lambda: len(persistent.file.read_text().splitlines()) == 1)
    assert {row["iface"]: row["hooks"] == [] for row in persistent.status(wire.right)} == {ends[0]: True, ends[1]: False}
    agent.stop()
    persistent.attach(wire.right, ends[1]).stop()
    assert [row["iface"] for row in persistent.status(wire.right)] == [ends[1]]


def test_renamed(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    send(wire, from_client())
    for words in ("down",), ("name", "fifteen-letters"), ("up",):
        run("ip", "-n", wire.right.name, "link", "set", "dev", "fifteen-letters" if words == ("up",) else wire.RIGHT, *words)
    assert [row["iface"] for row in persistent.status(wire.right)] == ["fifteen-letters"]
    assert persistent.detach(wire.right, "fifteen-letters").exit_code == 0
    assert [record["in_iface"] for record in persistent.records()] == ["fifteen-letters"]


def test_links_that_somebody_detached(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT).kill()
    for link in (persistent.bpffs / "tcpwin-agent").glob("*/*/link_*"):
        run("bpftool", "link", "detach", "pinned", link)
    assert f"{wire.RIGHT} " in (text := persistent.run(wire.right, "status").stdout) and "nothing is attached" in text
    agent = persistent.attach(wire.right, wire.RIGHT)
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]
    agent.stop()


def test_one_direction_then_both(wire, persistent):
    persistent.attach(wire.right, wire.RIGHT, options=(*LONG, "--direction", "ingress")).kill()
    send(wire, from_client())
    persistent.attach(wire.right, wire.RIGHT).stop()
    assert attached_programs(wire.right, wire.RIGHT) == ["tcpwin_egress", "tcpwin_xdp"]
    persistent.detach(wire.right)
    assert persistent.packets() == 1


def test_full_table_is_taken_over(wire, persistent):
    options = (*LONG, "--max-flows", "8")
    persistent.attach(wire.right, wire.RIGHT, options=options).kill()
    send(wire, *(tcp_frame(Endpoint(CLIENT.ip, 40000 + number), SERVER) for number in range(20)))
    agent = persistent.attach(wire.right, wire.RIGHT, options=("--timeout-est", "1ms", "--max-flows", "8"))
    assert wait_until(lambda: persistent.status(wire.right)[0]["flows"] == 0)
    assert len(persistent.records()) == 8
    send(wire, tcp_frame(Endpoint(CLIENT.ip, 50000), SERVER))
    assert wait_until(lambda: 50000 in [record["a"]["port"] for record in persistent.records()])
    agent.stop()
    last = persistent.detach(wire.right)
    assert persistent.packets() + last.report["lost untracked_full"] == last.report["tcp packets"] == 21


# ---- outputs ----

def test_reader_that_goes(wire, persistent, tmp_path):
    """The next agent writes what nobody read; one that still waits for a reader can be ended."""
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
    assert outcome.exit_code == 1 and "its reader has closed it" in outcome.errors[0]
    persistent.detach(wire.right)
    assert persistent.packets() == 1


# ---- killed at each step ----

CALLS = "bpf,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,sendmsg,sendto"
PINNING = re.compile(r"BPF_OBJ_PIN|BPF_LINK|rename|unlink|rmdir|mkdir|BPF_PROG_TEST_RUN|send")


def steps(trace):
    """(system call, its count among those of the name) of each call that changes something."""
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
    """The next agent and detach find each packet, and leave nothing. Some of the steps, and the next time others."""
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
        packets = sum(side["packets"] for record in flows for side in (record["a"], record["b"]) if side)
        assert sent[0] <= packets <= sent[1], (call, count, persistent.records())
        assert attached_programs(wire.right, wire.RIGHT) == [] and persistent.pinned() == [], (call, count)
