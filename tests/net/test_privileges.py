# SPDX-License-Identifier: Apache-2.0
"""What the agent may still do once it watches: nothing but watch, write and detach."""
import fcntl
import json
import os
import shutil
import signal

import pytest

from agent import BINARY
from frames import from_client, from_server, send
from network import wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("setpriv")]

LONG = ("--timeout-est", "60s")
NOBODY, USER = 65534, 1000
NONE = "0" * 16
THREE = "bpf,+net_admin,+perfmon"
AS_USER = (f"setpriv --reuid {USER} --regid {USER} --clear-groups "
           f"--bounding-set=-all,+{THREE} --inh-caps=-all,+{THREE} --ambient-caps=-all,+{THREE}")


def status_of(pid):
    """/proc/PID/status as {name: value}."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def wait_confined(agent):
    """Waits until the last privilege is gone, which is after the interface was attached."""
    assert wait_until(lambda: status_of(agent.process.pid)["Seccomp"] == "2"), "no seccomp filter"
    return agent


@pytest.fixture(params=["root", "user"])
def who(request):
    return request.param


@pytest.fixture
def start(who, wire, start_agent, public_directory):
    """start(options...): an Agent of root, or of a user with the three capabilities, attached and confined."""
    prefix = ()
    if who == "user":
        binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")
        prefix = ["sh", "-c", f'shift; exec {AS_USER} "$0" "$@"', binary]  # in the place of BINARY

    def start(*options, **more):
        agent = start_agent(wire.right, wire.RIGHT, *options, prefix=prefix, **more)
        return wait_confined(agent.wait_attached(wire.RIGHT))

    return start


def test_nothing_is_left(who, start):
    agent = start()
    status = status_of(agent.process.pid)
    user = str(NOBODY if who == "root" else USER)

    assert status["Uid"].split() == status["Gid"].split() == [user] * 4
    assert status["Groups"] == ""
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NONE] * 4
    # Only root may empty it; without new privileges nothing comes of it.
    assert status["CapBnd"] == (NONE if who == "root" else "000000c000001000")
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    assert agent.stop().exit_code == 0


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_every_flow_is_written_and_the_program_detached(mode, wire, start):
    agent = start("--mode", mode, *LONG)
    send(wire, from_client(), from_server())
    outcome = agent.stop()

    record, = outcome.records
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert record["end_reason"] == "shutdown"
    assert outcome.packets_in_records() == outcome.report["packets seen"] == 2
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_idle_flow_is_written_while_watching(wire, start):
    agent = start("--timeout-est", "50ms", "--poll-interval", "10ms")
    send(wire, from_client())
    assert wait_until(lambda: "idle_timeout" in agent.out.read_text()), "no record of an idle flow"
    assert agent.stop().exit_code == 0


@pytest.mark.parametrize("form", ["json", "t2"])
def test_files_that_only_root_may_open(form, wire, start_agent, tmp_path):
    """They were opened before."""
    tmp_path.chmod(0o700)
    flows, packets = tmp_path / "flows", tmp_path / "packets"
    agent = start_agent(wire.right, wire.RIGHT, "--format", form, "--output", flows, "--packets", packets, *LONG)
    wait_confined(agent.wait_attached(wire.RIGHT))
    send(wire, from_client(), from_client())
    assert agent.stop().exit_code == 0
    header = 1 if form == "t2" else 0
    assert len(flows.read_text().splitlines()) == header + 1
    assert len(packets.read_text().splitlines()) == header + 2


def test_full_disk(wire, start):
    agent = start("--output", "/dev/full", *LONG)
    send(wire, from_client())
    outcome = agent.stop()
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert "/dev/full" in sentence and "No space left on device" in sentence
    assert outcome.report["records that could not be written"] == 1
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_reader_of_the_pipe_goes_away(wire, start):
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
    assert outcome.report["packets seen"] == 1, "the end report is still there"
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_stopped_and_continued_while_its_reader_sleeps(wire, start):
    """As by Ctrl-Z and fg: the kernel then restarts the wait by a system call of its own."""
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
        assert json.loads(os.read(reader, 65536))["a"]["packets"] == 1
    finally:
        os.close(writer)
        os.close(reader)


def test_records_on_a_terminal(wire, start):
    master, terminal = os.openpty()
    try:
        agent = start(*LONG, stdout=terminal)
        send(wire, from_client())
        assert agent.stop().exit_code == 0
        assert json.loads(os.read(master, 65536))["a"]["packets"] == 1
    finally:
        os.close(terminal)
        os.close(master)
