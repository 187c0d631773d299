# SPDX-License-Identifier: Apache-2.0
"""The privileges of an attached agent: it can only watch, write and detach."""
import fcntl
import os
import re
import shutil
import signal
import subprocess

import pytest

from agent import BINARY, CAPABILITIES, NOBODY, USER, become, run_agent, status_of, wait_confined
from frames import CLIENT, SERVER, Endpoint, from_client, from_server, send, send_from, tcp_frame
from lines import parse_lines
from network import TIMEOUT, run, wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("setpriv", "setcap", "tc", "clang")]

LONG = ("--timeout-est", "60s")
NONE = "0" * 16
NET_ADMIN = f"{1 << 12:016x}"


@pytest.fixture(params=["root", "user", "setcap"])
def who(request):
    """root, a user with the three capabilities, or a user who runs a file that has them"""
    return request.param


@pytest.fixture
def start_as(who, start_agent, public_directory):
    """start_as(namespace, words...): an Agent, which may not be attached yet"""
    prefix = ()
    if who != "root":
        binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")
        words = " ".join(become(USER, CAPABILITIES if who == "user" else None))
        prefix = ["sh", "-c", f'shift; exec {words} "$0" "$@"', binary]  # instead of BINARY
    if who == "setcap":
        run("setcap", "cap_bpf,cap_net_admin,cap_perfmon=ep", binary)
    return lambda namespace, *words, **more: start_agent(namespace, *words, prefix=prefix, **more)


@pytest.fixture
def start(wire, start_as):
    """start(options...): an Agent attached to the watched end of the wire, and confined"""
    def start(*options, **more):
        return wait_confined(start_as(wire.right, wire.RIGHT, *options, **more).wait_attached(wire.RIGHT))

    return start


def test_no_privilege_is_left(who, start):
    agent = start()
    status = status_of(agent.process.pid)
    user = str(NOBODY if who == "root" else USER)

    assert status["Uid"].split() == status["Gid"].split() == [user] * 4
    assert status["Groups"] == ""
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NONE] * 4
    # Only root can empty the bounding set; with no_new_privs it does no harm.
    assert who == "setcap" or status["CapBnd"] == (NONE if who == "root" else "000000c000001000")
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    assert agent.stop().exit_code == 0


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_confined_agent_writes_every_flow_and_detaches(mode, wire, start):
    agent = start("--mode", mode, *LONG)
    send(wire, from_client(), from_server())
    outcome = agent.stop()

    record, = outcome.records
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert record["end_reason"] == "shutdown"
    assert outcome.packets_in_records() == outcome.report["packets seen"] == 2
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_idle_flow_is_written_while_watching(wire, start):
    agent = start("--timeout-est", "50ms", "--poll-interval", "10ms")
    send(wire, from_client())
    assert wait_until(lambda: "idle_timeout" in agent.out.read_text()), "no record of an idle flow"
    assert agent.stop().exit_code == 0


@pytest.mark.parametrize("form", ["json", "t2"])
def test_files_that_only_root_can_open_are_written(form, wire, start_agent, tmp_path):
    """They are opened before the privileges are dropped."""
    tmp_path.chmod(0o700)
    flows, packets = tmp_path / "flows", tmp_path / "packets"
    agent = start_agent(wire.right, wire.RIGHT, "--format", form, "--output", flows, "--packets", packets, *LONG)
    wait_confined(agent.wait_attached(wire.RIGHT))
    send(wire, from_client(), from_client())
    assert agent.stop().exit_code == 0
    header = 1 if form == "t2" else 0
    assert len(flows.read_text().splitlines()) == header + 1
    assert len(packets.read_text().splitlines()) == header + 2


def test_a_full_disk_is_an_error(wire, start):
    agent = start("--output", "/dev/full", *LONG)
    send(wire, from_client())
    outcome = agent.stop()
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert "/dev/full" in sentence and "No space left on device" in sentence
    assert outcome.report["records that could not be written"] == 1
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_a_closed_output_pipe_ends_the_agent(wire, start):
    reader, writer = os.pipe()
    try:
        agent = start(*LONG, stdout=writer)
    finally:
        os.close(writer)
    send(wire, from_client())
    os.close(reader)
    outcome = agent.wait()
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert "standard output" in sentence and "reader" in sentence
    assert outcome.report["packets seen"] == 1, "the end report is still printed"
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_agent_blocked_on_its_output_can_be_stopped_and_continued(wire, start):
    """As Ctrl-Z and fg do. The kernel then resumes the wait by a system call that seccomp must allow."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        os.write(writer, b"\n" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
        os.set_blocking(writer, True)
        agent = start(*LONG, stdout=writer)
        send(wire, from_client())
        agent.process.send_signal(signal.SIGINT)
        assert wait_until(lambda: wire.right.xdp_programs(wire.RIGHT) == [])
        for number, state in (None, "S"), (signal.SIGSTOP, "T"), (signal.SIGCONT, "S"):
            if number:
                agent.process.send_signal(number)
            assert wait_until(lambda: status_of(agent.process.pid)["State"].startswith(state))
        os.read(reader, 1 << 20)
        outcome = agent.wait()
        assert (outcome.exit_code, outcome.errors) == (0, [])
        assert parse_lines(os.read(reader, 65536))[0]["a"]["packets"] == 1
    finally:
        os.close(writer)
        os.close(reader)


def test_records_are_written_to_a_terminal(wire, start):
    master, terminal = os.openpty()
    try:
        agent = start(*LONG, stdout=terminal)
        send(wire, from_client())
        assert agent.stop().exit_code == 0
        assert parse_lines(os.read(master, 65536))[0]["a"]["packets"] == 1
    finally:
        os.close(terminal)
        os.close(master)


# --- Which privileges are kept, and when --------------------------------------

HOOKS = pytest.mark.parametrize("hook", ["tcx", "clsact"])
OUR_PLACE = ("prio", 0xc0de, "handle", "0x7463")
HOLD_A_NAME = """
import signal, socket, sys
holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
holder.bind("\\0tcpwin-agent/" + sys.argv[1])
holder.listen()
print("listening", flush=True)
signal.pause()
"""
# Others that never answer: one does not listen, the other's backlog is full.
HOLD_SILENTLY = """
import signal, socket, sys
name = "\\0tcpwin-agent/" + sys.argv[1]
holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
holder.bind(name)
waiting = []
if sys.argv[2] == "full":
    holder.listen(0)
    try:
        while True:
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            waiting[-1].connect(name)
    except BlockingIOError:
        pass
print("holding", flush=True)
signal.pause()
"""
# As in container runtimes that allow no seccomp filter inside their own.
WITHOUT_SECCOMP = """
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]
allow, refuse, equal, set_seccomp = 0x7fff0000, 0x00050001, 4, 22
rules = ctypes.c_void_p(library.seccomp_init(allow))
only = (Comparison * 1)(Comparison(0, equal, set_seccomp, 0))
for name, conditions in (b"seccomp", 0), (b"prctl", 1):
    assert not library.seccomp_rule_add_array(rules, refuse, library.seccomp_syscall_resolve_name(name), conditions, only)
assert not library.seccomp_load(rules)
os.execv(sys.argv[1], sys.argv[1:])
"""


def has_clsact(wire, device):
    return "clsact" in run("tc", "-n", wire.right.name, "qdisc", "show", "dev", device).stdout


def effective(agent):
    status = status_of(agent.process.pid)
    assert status["CapPrm"] == status["CapEff"]
    return status["CapEff"]


def debug_lines(agent):
    return [line for line in agent.stderr().splitlines() if "capabilities kept" in line]


@HOOKS
@pytest.mark.parametrize("mode", ["native", "tc"])
def test_only_clsact_filters_keep_a_capability(hook, mode, wire, start):
    """A filter has to be removed by netlink; a link is released with its descriptor."""
    agent = start("--mode", mode, "--tc-hook", hook, "--verbose", *LONG)
    assert effective(agent) == (NET_ADMIN if hook == "clsact" else NONE)
    line, = debug_lines(agent)
    assert f"debug: capabilities kept: {'CAP_NET_ADMIN' if hook == 'clsact' else 'none'}; user " in line
    assert has_clsact(wire, wire.RIGHT) == (hook == "clsact")
    send(wire, from_client())
    send_from(wire.right, wire.RIGHT, from_server())
    outcome = agent.stop(signal.SIGTERM)
    record, = outcome.records
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert (record["a"]["packets"], record["b"]["packets"]) == (1, 1)
    assert wire.right.xdp_programs(wire.RIGHT) == [] and not has_clsact(wire, wire.RIGHT)


@pytest.mark.parametrize("options", [(), ("--mode", "tc"), ("--tc-hook", "clsact"), ("--mode", "tc", "--tc-hook", "clsact")],
                         ids=lambda options: " ".join(options) or "auto")
def test_any_attaches_to_new_interfaces(options, wire, start_as):
    agent = wait_confined(start_as(wire.right, "any", *options, *LONG).wait_attached(wire.RIGHT))
    assert effective(agent) == NET_ADMIN
    wire.right.add_pair("new0", "new1", up=False)
    wire.right.ip("link", "set", "dev", "new0", "name", "renamed0", "up")
    agent.wait_attached("renamed0")
    wire.right.ip("link", "set", "dev", "new1", "up")
    agent.wait_attached("new1")
    send_from(wire.right, "new1", from_client(), from_server())
    outcome = agent.stop()
    record, = outcome.records
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert (record["in_iface"], record["a"]["packets"], record["b"]["packets"]) == ("renamed0", 1, 1)
    for device in wire.RIGHT, "renamed0", "new1":
        assert wire.right.xdp_programs(device) == [] and not has_clsact(wire, device)


def test_any_names_new_interfaces_that_it_cannot_attach_to(foreign, wire, start_as):
    """The other program is given by ID: the agent lacks the privilege to read its name."""
    agent = wait_confined(start_as(wire.right, "any", "--tc-hook", "clsact", *LONG).wait_attached(wire.RIGHT))
    wire.right.add_pair("xdp0", "xdp1", up=False)
    wire.right.add_pair("tc0", "tc1", up=False)
    wire.right.ip("link", "set", "dev", "xdp0", "xdpdrv", "obj", foreign, "sec", "xdp")
    program, = wire.right.xdp_programs("xdp0")
    run("tc", "-n", wire.right.name, "qdisc", "add", "dev", "tc0", "clsact")
    run("tc", "-n", wire.right.name, "filter", "add", "dev", "tc0", "ingress", *OUR_PLACE, "bpf", "direct-action",
        "obj", foreign, "sec", "tc")
    for device in "xdp0", "tc0", "tc1", "xdp1":
        wire.right.ip("link", "set", "dev", device, "up")
    agent.wait_attached("tc1", "xdp1")
    warnings = [line for line in agent.stderr().splitlines() if "warning" in line]
    assert any(f"cannot attach to xdp0: it already has the XDP program with id {program} (native)" in line for line in warnings)
    assert agent.stop().exit_code == 0
    assert wire.right.xdp_programs("xdp0") == [program]


@pytest.mark.parametrize("later", [False, True])
def test_the_filter_of_a_killed_agent_is_replaced(later, wire, start, start_as):
    """The name of its program cannot be read, the name of the filter can."""
    options = ("--mode", "tc", "--tc-hook", "clsact", *LONG)
    start(*options).kill()
    assert has_clsact(wire, wire.RIGHT)
    if later:
        wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
        agent = start_as(wire.right, "any", *options)
        assert wait_until(lambda: "no interface is up" in agent.stderr()), agent.stderr()
        wait_confined(agent)
        wire.right.ip("link", "set", "dev", wire.RIGHT, "up")
        agent.wait_attached(wire.RIGHT)
    else:
        agent = start(*options)
    send(wire, from_client())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.packets_in_records()) == (0, 1)
    assert not has_clsact(wire, wire.RIGHT)


def test_an_interface_with_filters_can_be_deleted(wire, start_as):
    wire.right.add_pair("gone0", "gone1")
    agent = start_as(wire.right, "gone0", wire.RIGHT, "--mode", "tc", "--tc-hook", "clsact", *LONG)
    wait_confined(agent.wait_attached("gone0", wire.RIGHT))
    send_from(wire.right, "gone1", from_client())
    wire.right.ip("link", "delete", "dev", "gone0")
    assert wait_until(lambda: "interface_gone" in agent.out.read_text())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert not has_clsact(wire, wire.RIGHT)


def test_duration_ends_the_agent(wire, start):
    agent = start("--duration", "5s", "--poll-interval", "1h", *LONG)
    send(wire, from_client())
    outcome = agent.wait()
    assert (outcome.exit_code, len(outcome.records), outcome.report["packets seen"]) == (0, 1, 1)


def test_a_second_signal_exits_even_if_the_reader_of_the_output_is_blocked(wire, start):
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        os.write(writer, b"\n" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
        agent = start("--tc-hook", "clsact", *LONG, stdout=writer)
        send(wire, from_client())
        agent.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: wire.right.xdp_programs(wire.RIGHT) == [])
        outcome = agent.stop(signal.SIGTERM)
    finally:
        os.close(writer)
        os.close(reader)
    sentence, = outcome.errors
    assert outcome.exit_code == 1 and "a second signal arrived" in sentence
    assert outcome.report["packets seen"] == 1
    assert not has_clsact(wire, wire.RIGHT)


def test_many_records_are_written(wire, start):
    """Allocation and large writes still work."""
    flows = [tcp_frame(Endpoint(CLIENT.ip, 1024 + i), SERVER) for i in range(20000)]
    agent = start(*LONG)
    send(wire, *flows)
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert len(outcome.records) == outcome.packets_in_records() == outcome.report["packets seen"] == 20000


# --- Other agents -------------------------------------------------------------


def test_a_second_agent_on_a_new_interface_is_refused(who, wire, start_as):
    """Even though the first has dropped to nobody; in tc mode the kernel would allow both."""
    agent = wait_confined(start_as(wire.right, "any", "--mode", "tc", *LONG).wait_attached(wire.RIGHT))
    wire.right.add_pair("new0", "new1")
    agent.wait_attached("new0", "new1")
    second = start_as(wire.right, "new0", "--mode", "tc")
    assert second.process.wait(TIMEOUT) == 1
    assert f"another tcpwin-agent is watching it (process {agent.process.pid})" in second.stderr()
    send_from(wire.right, "new1", from_client())
    assert agent.stop().packets_in_records() == 1


@pytest.mark.parametrize("later", [False, True])
def test_user_nobody_cannot_block_an_agent(later, wire, start_agent):
    """A process of user nobody counts as an agent only if it was started by root."""
    index = wire.right.index(wire.RIGHT)
    holder = subprocess.Popen(wire.right.inside(*become(NOBODY), "/usr/bin/python3", "-c", HOLD_A_NAME, index), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "listening\n"
        if later:
            wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
        agent = start_agent(wire.right, "any" if later else wire.RIGHT, *LONG)
        wait_confined(agent)
        wire.right.ip("link", "set", "dev", wire.RIGHT, "up")
        agent.wait_attached(wire.RIGHT)
        assert f"process {holder.pid} of user {NOBODY} claims to watch {wire.RIGHT}; ignored" in agent.stderr()
        assert agent.stop().exit_code == 0
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("how", ["bound", "full"])
def test_a_name_held_silently_by_another_user_is_ignored(how, wire, start_agent):
    """It must not keep root's agent from starting; and a second agent of root is still refused."""
    index = wire.right.index(wire.RIGHT)
    holder = subprocess.Popen(wire.right.inside(*become(NOBODY), "/usr/bin/python3", "-c", HOLD_SILENTLY, index, how), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "holding\n"
        agent = start_agent(wire.right, wire.RIGHT, *LONG).wait_attached(wire.RIGHT)
        assert f"a process that does not listen claims to watch {wire.RIGHT}; ignored" in agent.stderr()
        second = run_agent("attach", wire.RIGHT, prefix=wire.right.inside())
        sentence, = second.errors
        assert second.exit_code == 1 and f"another tcpwin-agent is watching it (process {agent.process.pid})" in sentence
        shown = run_agent("status", "--json", prefix=wire.right.inside())
        assert [record["agent_pid"] for record in shown.records] == [agent.process.pid]
        assert agent.stop().exit_code == 0
    finally:
        holder.kill()
        holder.communicate()


# --- Systems that do not allow it ---------------------------------------------


def test_missing_seccomp_is_only_a_warning(wire, start_agent):
    agent = start_agent(wire.right, wire.RIGHT, *LONG, prefix=["/usr/bin/python3", "-c", WITHOUT_SECCOMP])
    agent.wait_attached(wire.RIGHT)
    assert wait_until(lambda: "warning" in agent.stderr())
    assert status_of(agent.process.pid)["CapEff"] == NONE
    send(wire, from_client())
    outcome = agent.stop()
    sentence, = [line for line in outcome.stderr.splitlines() if "warning" in line]
    assert re.fullmatch(r"tcpwin-agent: warning: cannot drop all privileges: seccomp: .*; the agent keeps them", sentence)
    assert (outcome.exit_code, outcome.packets_in_records()) == (0, 1)


def test_root_that_cannot_change_its_user_drops_its_capabilities(wire, start_agent):
    """As under a systemd unit with CapabilityBoundingSet: the agent stays user 0, without capabilities."""
    bounding_set = ",".join(["-all", *(f"+{name}" for name in CAPABILITIES)])
    agent = start_agent(wire.right, wire.RIGHT, *LONG, prefix=["setpriv", f"--bounding-set={bounding_set}"])
    wait_confined(agent.wait_attached(wire.RIGHT))
    status = status_of(agent.process.pid)
    assert (status["CapEff"], status["CapPrm"], status["Uid"].split()[0]) == (NONE, NONE, "0")
    send(wire, from_client())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.packets_in_records()) == (0, 1)
    assert "warning" not in outcome.stderr
