# SPDX-License-Identifier: Apache-2.0
"""tc programs, by TCX or in a clsact qdisc: they coexist with others, change no packet, and leave nothing attached."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

from agent import run_agent
from foreign import ACCEPTING, accept_by_tcx, compile_bpf, tcx_names
from frames import CLIENT, SERVER, from_client, from_server, send, send_from, tcp_frame
from network import TIMEOUT, run, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tc", "bpftool", "clang")]

HOOKS = pytest.mark.parametrize("hook", ["tcx", "clsact"])
LONG = ("--timeout-est", "60s")
END_MARKER = bytes.fromhex("020000000002" "020000000001" "88b5") + bytes(46)
OUR_HANDLE = "0x7463"

# Prints the incoming frames of a device in hex, with the VLAN tag that Linux stripped, until the end marker.
CAPTURE = """
import socket, struct, sys
SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 263, 8, 0x10
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
packets.bind((sys.argv[1], 3))
packets.settimeout(60)
print("ready", flush=True)
frame = b""
while frame[12:14] != b"\\x88\\xb5":
    frame, extra, _, address = packets.recvmsg(65536, 256)
    status, _, _, _, _, tci, protocol = struct.unpack("IIIHHHH", extra[0][2])
    if address[2] == socket.PACKET_OUTGOING:
        frame = b""
        continue
    if status & VLAN_VALID:
        frame = frame[:12] + struct.pack("!HH", protocol, tci) + frame[12:]
    print(frame.hex(), flush=True)
"""


def tc(namespace, *words):
    return run("tc", "-n", namespace.name, *words)


def has_clsact(wire):
    return "clsact" in tc(wire.right, "qdisc", "show", "dev", wire.RIGHT).stdout


def filters(wire):
    """[(direction, name of the program, its ID)] of the clsact qdisc at the watched end"""
    found = []
    for direction in "egress", "ingress":
        shown = json.loads(tc(wire.right, "-json", "filter", "show", "dev", wire.RIGHT, direction).stdout or "[]")
        programs = [one["options"]["prog"] for one in shown if "options" in one]
        found += [(direction, program["name"], program["id"]) for program in programs]
    return found


def filter_names(wire):
    return [(direction, name) for direction, name, _ in filters(wire)]


def tcx_links(agent):
    """IDs of the TCX links that the agent holds"""
    ids = set()
    for path in pathlib.Path(f"/proc/{agent.process.pid}/fdinfo").iterdir():
        text = path.read_text()
        if re.search(r"^link_type:\s+tcx$", text, re.MULTILINE):
            ids.add(int(re.search(r"^link_id:\s+(\d+)$", text, re.MULTILINE)[1]))
    return ids


def all_links():
    return {link["id"] for link in json.loads(run("bpftool", "-j", "link", "list").stdout or "[]")}


def packets(outcome):
    return [tuple(side["packets"] if side else 0 for side in (record["a"], record["b"])) for record in outcome.records]


def send_out(wire, *steps):
    send_from(wire.right, wire.RIGHT, *steps)


@pytest.fixture
def watch_tc(watch):
    return lambda wire, hook: watch(wire, "--mode", "tc", "--tc-hook", hook, *LONG)


def test_the_filter_of_a_killed_agent_is_replaced(wire, watch_tc):
    ours = [("egress", "tcpwin_egress"), ("ingress", "tcpwin_ingress")]
    watch_tc(wire, "clsact").kill()
    left_behind = filters(wire)
    assert filter_names(wire) == ours
    agent = watch_tc(wire, "clsact")
    assert filter_names(wire) == ours
    assert not set(left_behind) & set(filters(wire)), "old programs are still attached"
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [(1, 1)]
    assert filters(wire) == [] and not has_clsact(wire)


def add_foreign_filter(wire, foreign, direction, *where):
    tc(wire.right, "filter", "add", "dev", wire.RIGHT, direction, *where, "bpf", "direct-action", "obj", foreign, "sec", "tc")


def test_a_foreign_filter_stays(wire, foreign, watch_tc):
    tc(wire.right, "qdisc", "add", "dev", wire.RIGHT, "clsact")
    add_foreign_filter(wire, foreign, "egress", "prio", 7)
    before = filters(wire)
    assert filter_names(wire) == [("egress", "foreign_tc")]
    agent = watch_tc(wire, "clsact")
    assert len(filters(wire)) == 3 and set(before) < set(filters(wire))
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [(1, 1)]
    assert filters(wire) == before and has_clsact(wire)


def add_ingress_qdisc(wire):
    """As shapers and policers do"""
    tc(wire.right, "qdisc", "add", "dev", wire.RIGHT, "ingress")


def qdiscs(wire):
    return tc(wire.right, "qdisc", "show", "dev", wire.RIGHT).stdout


def test_clsact_is_refused_beside_an_ingress_qdisc(wire):
    """The kernel would take the filters and run them on no packet."""
    add_ingress_qdisc(wire)
    before = qdiscs(wire)
    for options in ("--mode", "tc"), ("--mode", "native"), ("--mode", "tc", "--direction", "ingress"):
        outcome = run_agent("attach", wire.RIGHT, *options, "--tc-hook", "clsact", prefix=wire.right.inside())
        sentence, = outcome.errors
        assert outcome.exit_code == 1
        assert f"cannot attach to {wire.RIGHT}: its qdisc 'ingress' is in the place of clsact" in sentence
        assert "--direction ingress" in sentence
        assert filters(wire) == [] and qdiscs(wire) == before


@pytest.mark.parametrize("options, seen", [(("--mode", "native", "--direction", "ingress", "--tc-hook", "clsact"), (1, 0)),
                                           (("--mode", "tc", "--tc-hook", "tcx"), (1, 1))], ids=["XDP", "TCX"])
def test_what_works_beside_an_ingress_qdisc(options, seen, wire, watch):
    add_ingress_qdisc(wire)
    before = qdiscs(wire)
    agent = watch(wire, *options, *LONG)
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [seen]
    assert qdiscs(wire) == before


@pytest.mark.parametrize("where", [("prio", 1), ("prio", 1, "handle", 1), ("prio", 1, "handle", OUR_HANDLE), ("prio", 7)],
                         ids=lambda words: " ".join(map(str, words)))
def test_a_foreign_filter_that_accepts_packets_hides_none(where, wire, watch_tc, tmp_path):
    """The agent's filter runs first, even where the other has priority 1, or the agent's handle."""
    accepting = compile_bpf(tmp_path, ACCEPTING)
    tc(wire.right, "qdisc", "add", "dev", wire.RIGHT, "clsact")
    for direction in "ingress", "egress":
        add_foreign_filter(wire, accepting, direction, *where)
    before = filters(wire)
    agent = watch_tc(wire, "clsact")
    assert filter_names(wire) == [("egress", "tcpwin_egress"), ("egress", "accepting"),
                                  ("ingress", "tcpwin_ingress"), ("ingress", "accepting")]
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [(1, 1)]
    assert filters(wire) == before


def test_a_priority_for_one_protocol_stays_first(wire, foreign, watch_tc):
    """The agent's filter is the next: all filters of a priority see one protocol."""
    tc(wire.right, "qdisc", "add", "dev", wire.RIGHT, "clsact")
    for priority in 1, 2:
        add_foreign_filter(wire, foreign, "egress", "prio", priority, "protocol", "ip")
    agent = watch_tc(wire, "clsact")
    shown = json.loads(tc(wire.right, "-json", "filter", "show", "dev", wire.RIGHT, "egress").stdout)
    assert [(one["pref"], one["protocol"]) for one in shown if "options" in one] == [(1, "ip"), (2, "ip"), (3, "all")]
    send_out(wire, from_server())
    outcome = agent.stop()
    assert packets(outcome) == [(1, 0)]
    assert "clsact egress), 'foreign_tc' (id " in outcome.stderr
    assert "was overtaken" not in outcome.stderr


def test_a_foreign_tcx_program_that_accepts_packets_hides_none(wire, watch_tc, bpffs, tmp_path):
    """It would, if it ran first: Cilium and others return TC_ACT_OK."""
    accept_by_tcx(wire, bpffs, tmp_path)
    assert tcx_names(wire) == [["accepting"], ["accepting"]]
    checked = run_agent("check", wire.RIGHT, prefix=wire.right.inside()).stdout
    assert re.search(r"^first to see packets +yes +before 'accepting' \(id \d+, TCX egress\)$", checked, re.M)
    agent = watch_tc(wire, "tcx")
    assert tcx_names(wire) == [["tcpwin_ingress", "accepting"], ["tcpwin_egress", "accepting"]]
    assert re.search(r"the agent sees outgoing packets before 'accepting' \(id \d+, TCX egress\)", agent.stderr())
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [(1, 1)]
    assert tcx_names(wire) == [["accepting"], ["accepting"]]


def test_a_killed_agent_leaves_no_tcx_link(wire, watch_tc):
    agent = watch_tc(wire, "tcx")
    links = tcx_links(agent)
    assert len(links) == 2 and links <= all_links()
    assert not has_clsact(wire)
    agent.kill()
    assert wait_until(lambda: not links & all_links())


@pytest.mark.parametrize("first, second", [("tcx", "clsact"), ("clsact", "clsact")])
def test_a_second_agent_in_tc_mode_is_refused(first, second, wire, watch_tc):
    agent = watch_tc(wire, first)
    before = tcx_links(agent), filters(wire)
    outcome = run_agent("attach", wire.RIGHT, "--mode", "tc", "--tc-hook", second, prefix=wire.right.inside())
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert f"cannot attach to {wire.RIGHT}: another tcpwin-agent is watching it (process {agent.process.pid})" in sentence
    assert (tcx_links(agent), filters(wire)) == before
    send(wire, from_client())
    assert packets(agent.stop()) == [(1, 0)]


def test_tc_mode_works_beside_a_foreign_xdp_program(wire, foreign, watch_tc):
    wire.right.ip("link", "set", "dev", wire.RIGHT, "xdpdrv", "obj", foreign, "sec", "xdp")
    before, = wire.right.xdp_programs(wire.RIGHT)
    refused = run_agent("attach", wire.RIGHT, prefix=wire.right.inside())
    sentence, = refused.errors
    assert refused.exit_code == 1
    assert f"'foreign_xdp' (id {before}, native)" in sentence and "use --mode tc, which sees the packets that it passes on" in sentence
    agent = watch_tc(wire, "auto")
    assert f"'foreign_xdp' (id {before}, native XDP) sees incoming packets before the agent" in agent.stderr()
    assert wire.right.xdp_programs(wire.RIGHT) == [before]
    send(wire, from_client())
    send_out(wire, from_server())
    assert packets(agent.stop()) == [(1, 1)]
    assert wire.right.xdp_programs(wire.RIGHT) == [before]


def test_the_dispatcher_of_libxdp_is_explained(wire, tmp_path):
    compiled = compile_bpf(tmp_path, '__attribute__((section("xdp"), used)) int xdp_dispatcher(void *ctx) { return 2; }\n')
    wire.right.ip("link", "set", "dev", wire.RIGHT, "xdpdrv", "obj", compiled, "sec", "xdp")
    sentence, = run_agent("attach", wire.RIGHT, prefix=wire.right.inside()).errors
    assert "libxdp's dispatcher, which runs only programs that libxdp loaded" in sentence and "use --mode tc" in sentence


class Capture:
    """Captures the incoming frames of a device, from now until the end marker."""

    def __init__(self, namespace, device):
        command = namespace.inside(sys.executable, "-c", CAPTURE, device)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def frames(self):
        return [bytes.fromhex(line) for line in self.process.communicate(timeout=TIMEOUT + 30)[0].splitlines()]


@pytest.fixture
def capture():
    started = []

    def start(namespace, device):
        started.append(Capture(namespace, device))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def odd_frames():
    """TCP with and without VLAN tags, truncated frames, and other protocols"""
    whole = tcp_frame(CLIENT, SERVER, payload=bytes(range(256)) * 5)
    tag, outer = bytes.fromhex("8100a007"), bytes.fromhex("88a80064")
    return [from_client(), from_server(), whole, whole[:12] + tag + whole[12:], whole[:12] + outer + tag + whole[12:],
            whole[:40], whole[:30], whole[:14], whole[:12] + bytes.fromhex("86dd") + bytes(60),
            whole[:12] + bytes.fromhex("9999") + bytes(46)]


@HOOKS
def test_frames_are_passed_on_unchanged(hook, wire, behind, watch_tc, capture):
    """Through a bridge, in both directions between the watched end and the device behind it."""
    came_in, went_out = capture(wire.right, behind), capture(wire.left, wire.LEFT)
    agent = watch_tc(wire, hook)
    frames = [*odd_frames(), END_MARKER]
    send(wire, *frames)
    send_from(wire.right, behind, *frames)
    assert came_in.frames() == frames
    assert went_out.frames() == frames
    report = agent.stop().report
    assert (report["packets seen"], report["tcp packets"]) == (2 * len(frames), 2 * 5)


@pytest.mark.parametrize("words", [
    ("any", "lo"), ("lo", "--tc-hook", "tc"), ("lo", "--direction", "out"), ("lo", "--mode", "tcx")], ids=" ".join)
def test_wrong_usage_names_the_option(words):
    outcome = run_agent("attach", *words)
    sentence, = outcome.errors
    assert outcome.exit_code == 2
    assert words[-2] in sentence
