# SPDX-License-Identifier: Apache-2.0
"""Other software detaches the agent's programs, or puts its own before them: the agent notices and attaches again."""
import pathlib
import re

import pytest

from agent import HOOKS, run_agent, wait_confined
from foreign import ACCEPTING, accept_by_tcx, compile_bpf, tcx_names
from frames import from_client, from_server, send, send_from
from leftovers import Persistent
from lines import parse_lines
from network import run, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tc", "bpftool", "clang")]

LONG = ("--timeout-est", "60s", "--stats-interval", "1h")


def links(agent):
    """IDs of the links to interfaces that the agent holds, without that of its iterator"""
    ids = set()
    for path in pathlib.Path(f"/proc/{agent.process.pid}/fdinfo").iterdir():
        text = path.read_text()
        found = re.search(r"^link_id:\s+(\d+)$", text, re.MULTILINE)
        if found and not re.search(r"^link_type:\s+iter$", text, re.MULTILINE):
            ids.add(int(found[1]))
    return ids


def tc(wire, *words):
    return run("tc", "-n", wire.right.name, *words)


def detach_all(wire, agent, hook):
    """As an administrator or another program would"""
    for link in links(agent):
        run("bpftool", "link", "detach", "id", str(link))
    if hook == "clsact":
        tc(wire, "qdisc", "del", "dev", wire.RIGHT, "clsact")


def stats(outcome):
    line, = [line for line in parse_lines(outcome.stdout) if line["event"] == "stats" and line["last"]]
    return line


def send_both(wire):
    send(wire, from_client())
    send_from(wire.right, wire.RIGHT, from_server())


def packets(outcome):
    flows = [line for line in parse_lines(outcome.stdout) if line["event"] == "flow"]
    return [tuple(side["packets"] if side else 0 for side in (flow["a"], flow["b"])) for flow in flows]


def lines_with(outcome, text):
    return [line for line in outcome.stderr.splitlines() if text in line]


@pytest.fixture
def watch_hook(watch):
    return lambda wire, hook, *options: watch(wire, *HOOKS[hook], *LONG, *options)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_detached_program_is_attached_again(hook, wire, watch_hook):
    agent = watch_hook(wire, hook)
    send_both(wire)
    detach_all(wire, agent, hook)
    assert wait_until(lambda: agent.stderr().count("it is attached again") == 2)
    send_both(wire)
    outcome = agent.stop()
    last = stats(outcome)
    assert packets(outcome) == [(2, 2)]
    assert (outcome.exit_code, last["reattachments"], last["detached_hooks"]) == (0, 2, 0)
    assert last["unseen"] > 0
    warnings = lines_with(outcome, "was detached by other software")
    assert len(warnings) == 2 and all(wire.RIGHT in line for line in warnings)
    assert "Programs attached again: 2; at most" in outcome.stderr
    assert "tcpwin" not in tc(wire, "filter", "show", "dev", wire.RIGHT, "egress").stdout


@pytest.mark.parametrize("hook", ["native", "tcx"])
def test_without_reattach_the_agent_ends_when_all_is_lost(hook, wire, watch_hook):
    agent = watch_hook(wire, hook, "--reattach", "no")
    send_both(wire)
    first, second = sorted(links(agent))
    run("bpftool", "link", "detach", "id", str(first))
    assert wait_until(lambda: "are not seen (reattach=no)" in agent.stderr())
    assert agent.process.poll() is None, "one direction is still seen"
    run("bpftool", "link", "detach", "id", str(second))
    outcome = agent.wait()
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert f"cannot continue watching {wire.RIGHT}: other software has detached the agent's programs" in sentence
    assert "reattach=yes" in sentence
    assert packets(outcome) == [(1, 1)], "what was counted is written"
    assert (stats(outcome)["reattachments"], stats(outcome)["detached_hooks"]) == (0, 2)


def test_what_cannot_be_attached_again_is_tried_until_it_works(wire, foreign, watch_hook):
    agent = watch_hook(wire, "native", "--direction", "ingress")
    taken = False
    for _ in range(20):  # the agent may be faster: then the kernel refuses to replace its program
        for link in links(agent):
            run("bpftool", "link", "detach", "id", str(link), check=False)
        taken = wire.right.ip("link", "set", "dev", wire.RIGHT, "xdpdrv", "obj", foreign, "sec", "xdp", check=False).returncode == 0
        if taken:
            break
    assert taken
    assert wait_until(lambda: "cannot be attached again" in agent.stderr())
    shown = run_agent("status", prefix=wire.right.inside()).stdout
    assert re.match(rf"{wire.RIGHT} .*: its programs are detached; since .*; process {agent.process.pid}$", shown, re.M), shown
    wire.right.ip("link", "set", "dev", wire.RIGHT, "xdp", "off")
    assert wait_until(lambda: "native XDP program for incoming packets is attached again" in agent.stderr())
    send(wire, from_client())
    outcome = agent.stop()
    assert packets(outcome) == [(1, 0)]
    assert stats(outcome)["detached_hooks"] == 0


def filter_of_agent(wire, direction):
    return "tcpwin_" in tc(wire, "filter", "show", "dev", wire.RIGHT, direction).stdout


def test_a_qdisc_in_the_place_of_clsact(wire, watch_hook):
    agent = watch_hook(wire, "clsact")
    taken = False
    for _ in range(20):  # the agent may be faster
        run("tc", "-n", wire.right.name, "qdisc", "del", "dev", wire.RIGHT, "clsact", check=False)
        taken = run("tc", "-n", wire.right.name, "qdisc", "add", "dev", wire.RIGHT, "ingress", check=False).returncode == 0
        if taken:
            break
    assert taken
    assert wait_until(lambda: "its qdisc 'ingress' is in the place of clsact" in agent.stderr())
    tc(wire, "qdisc", "del", "dev", wire.RIGHT, "ingress")
    assert wait_until(lambda: filter_of_agent(wire, "ingress") and filter_of_agent(wire, "egress"))
    send_both(wire)
    outcome = agent.stop()
    assert packets(outcome) == [(1, 1)] and stats(outcome)["detached_hooks"] == 0


def test_a_persistent_agent_says_what_does_not_outlive_it(wire, start_agent, bpffs, tmp_path):
    """It has given up the permission to pin."""
    persistent = Persistent(start_agent, bpffs, tmp_path / "flows")
    agent = persistent.attach(wire.right, wire.RIGHT, options=(*HOOKS["tcx"], "--timeout-est", "60s"))
    wait_confined(agent)
    send_both(wire)
    detach_all(wire, agent, "tcx")
    assert wait_until(lambda: agent.stderr().count("does not outlive this agent") == 2)
    send_both(wire)
    outcome = agent.stop()
    assert outcome.exit_code == 0 and f"{wire.RIGHT} does not stay attached as a whole" in outcome.stderr
    assert tcx_names(wire) == [[], []]
    persistent.attach(wire.right, wire.RIGHT, options=(*HOOKS["tcx"], "--timeout-est", "60s")).stop()
    assert tcx_names(wire) == [["tcpwin_ingress"], ["tcpwin_egress"]]
    assert persistent.detach(wire.right).exit_code == 0
    assert persistent.packets() == 4 and persistent.pinned() == []


def test_the_agent_returns_to_the_head_of_tcx(wire, watch_hook, bpffs, tmp_path):
    """It has no capability to ask who runs before it."""
    agent = watch_hook(wire, "tcx")
    send_both(wire)
    accept_by_tcx(wire, bpffs, tmp_path, "before")
    assert wait_until(lambda: agent.stderr().count("is the first again") == 2)
    assert tcx_names(wire) == [["tcpwin_ingress", "accepting"], ["tcpwin_egress", "accepting"]]
    send_both(wire)
    outcome = agent.stop()
    assert packets(outcome) == [(2, 2)] and stats(outcome)["reattachments"] == 2
    assert tcx_names(wire) == [["accepting"], ["accepting"]]


def test_the_agent_returns_to_the_head_of_clsact(wire, watch_hook, tmp_path):
    agent = watch_hook(wire, "clsact")
    accepting = compile_bpf(tmp_path, ACCEPTING)
    for direction in "ingress", "egress":
        tc(wire, "filter", "add", "dev", wire.RIGHT, direction, "prio", 1, "bpf", "direct-action", "obj", accepting, "sec", "tc")
    assert wait_until(lambda: agent.stderr().count("is the first again") == 2)
    send_both(wire)
    outcome = agent.stop()
    assert packets(outcome) == [(1, 1)] and stats(outcome)["reattachments"] == 2
    assert "accepting" in tc(wire, "filter", "show", "dev", wire.RIGHT, "egress").stdout


def test_without_reattach_being_overtaken_is_told(wire, watch_hook, bpffs, tmp_path):
    agent = watch_hook(wire, "tcx", "--reattach", "no")
    accept_by_tcx(wire, bpffs, tmp_path, "before")
    assert wait_until(lambda: agent.stderr().count("packets that this one takes are not seen") == 2)
    outcome = agent.stop()
    assert (outcome.exit_code, stats(outcome)["reattachments"]) == (0, 0)
    assert tcx_names(wire) == [["accepting"], ["accepting"]]
