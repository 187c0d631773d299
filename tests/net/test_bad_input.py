# SPDX-License-Identifier: Apache-2.0
"""Failures while attaching and watching: the exit code, one sentence, and nothing left attached."""
import os
import shutil
import subprocess

import pytest

from agent import BINARY, NOBODY, become, run_agent, sides
from frames import from_client, send
from lines import parse_lines
from network import TIMEOUT, wait_until

pytestmark = pytest.mark.needs_root

MODES = pytest.mark.parametrize("mode", ["native", "generic"])
LONG = ("--timeout-est", "60s")


def check_failure(outcome, exit_code, *words):
    """Checks the exit code and that standard error has exactly one error sentence, which contains the words."""
    assert outcome.exit_code == exit_code, outcome.stderr
    assert len(outcome.errors) == 1, outcome.stderr
    missing = [word for word in words if str(word) not in outcome.errors[0]]
    assert missing == [], outcome.errors[0]


def attach(wire, *arguments, prefix=()):
    """Runs an agent that is expected to exit by itself."""
    return run_agent("attach", *arguments, prefix=wire.right.inside(*prefix))


@pytest.mark.needs("setpriv")
def test_attach_without_privileges_is_refused(wire, public_directory):
    binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")
    command = wire.right.inside(*become(NOBODY, []), binary, "attach", wire.RIGHT)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert done.returncode == 77
    sentence, = done.stderr.splitlines()
    assert sentence.startswith("tcpwin-agent: error: ") and "root" in sentence and "CAP_BPF" in sentence
    assert done.stdout == ""
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_unknown_interface_is_refused(wire):
    outcome = attach(wire, "nosuch0")
    check_failure(outcome, 1, "nosuch0", "no such interface")
    assert outcome.stderr.splitlines() == outcome.errors


def test_native_mode_is_refused_where_the_driver_lacks_it(wire):
    """The loopback device has generic XDP only."""
    check_failure(attach(wire, "lo", "--mode", "native"), 69, "lo", "native", "--mode generic")
    assert wire.right.xdp_programs("lo") == []


def test_nothing_is_attached_if_one_of_two_interfaces_does_not_exist(wire):
    check_failure(attach(wire, wire.RIGHT, "nosuch0"), 1, "nosuch0")
    assert wire.right.xdp_programs(wire.RIGHT) == []


@pytest.mark.needs("clang")
@pytest.mark.parametrize("mode", ["auto", "native", "generic"])
@pytest.mark.parametrize("theirs", ["xdpgeneric", "xdpdrv"])
def test_a_foreign_xdp_program_is_named_and_stays(theirs, mode, wire, foreign):
    wire.right.ip("link", "set", "dev", wire.RIGHT, theirs, "obj", foreign, "sec", "xdp_tcpwin")
    before = wire.right.xdp_programs(wire.RIGHT)
    assert len(before) == 1
    outcome = attach(wire, wire.RIGHT, "--mode", mode)
    check_failure(outcome, 1, wire.RIGHT, "tcpwin_tiny", f"id {before[0]}")
    assert wire.right.xdp_programs(wire.RIGHT) == before


@MODES
def test_a_second_agent_on_the_interface_is_refused(mode, wire, watch):
    first = watch(wire, "--mode", mode, *LONG)
    before = wire.right.xdp_programs(wire.RIGHT)
    refused = attach(wire, wire.RIGHT, "--mode", mode)
    check_failure(refused, 1, wire.RIGHT, "another tcpwin-agent", f"process {first.process.pid}")
    assert wire.right.xdp_programs(wire.RIGHT) == before
    send(wire, from_client())
    outcome = first.stop()
    assert (outcome.exit_code, outcome.packets_in_records()) == (0, 1)


def test_nothing_is_attached_if_another_agent_watches_one_of_two_interfaces(wire, watch):
    wire.right.ip("link", "add", "name", "free0", "type", "veth", "peer", "name", "free1")
    first = watch(wire)
    check_failure(attach(wire, "free0", wire.RIGHT), 1, wire.RIGHT)
    assert wire.right.xdp_programs("free0") == []
    assert first.stop().exit_code == 0


@MODES
def test_deleting_the_only_interface_ends_the_agent_with_all_records(mode, wire, watch):
    agent = watch(wire, "--mode", mode, *LONG)
    send(wire, from_client(), from_client())
    wire.right.ip("link", "delete", "dev", wire.RIGHT)
    outcome = agent.wait()
    check_failure(outcome, 1, wire.RIGHT, "deleted")
    assert [record["in_iface"] for record in outcome.records] == [wire.RIGHT]
    assert outcome.packets_in_records() == outcome.report["packets seen"] == 2


def test_deleting_one_of_two_interfaces_causes_a_warning(wire, start_agent):
    """The other is still watched."""
    wire.right.ip("link", "add", "name", "gone0", "type", "veth", "peer", "name", "gone1")
    agent = start_agent(wire.right, "gone0", wire.RIGHT, *LONG).wait_attached("gone0", wire.RIGHT)
    wire.right.ip("link", "delete", "dev", "gone0")
    assert wait_until(lambda: "gone0 was deleted" in agent.stderr())
    send(wire, from_client())
    outcome = agent.stop()
    assert (outcome.exit_code, outcome.packets_in_records(), outcome.errors) == (0, 1, [])


@pytest.mark.parametrize("form", ["json", "t2"])
def test_a_full_disk_while_watching_ends_the_agent(form, wire, start_agent):
    """/dev/full refuses the first record; with t2, the header."""
    agent = start_agent(wire.right, wire.RIGHT, "--output", "/dev/full", "--format", form, "--timeout-est", "50ms")
    if form == "json":
        agent.wait_attached(wire.RIGHT)
        send(wire, from_client())
    outcome = agent.wait()
    check_failure(outcome, 1, "/dev/full", "No space left on device")
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_a_full_disk_at_the_end_is_an_error(wire, watch):
    """The only record is written when the agent stops. The report gives the number of lost records."""
    agent = watch(wire, "--output", "/dev/full", *LONG)
    send(wire, from_client())
    outcome = agent.stop()
    check_failure(outcome, 1, "/dev/full", "No space left on device")
    assert outcome.report["records that could not be written"] == 1
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_output_in_a_missing_directory_is_refused(wire, tmp_path):
    path = tmp_path / "missing" / "flows.json"
    check_failure(attach(wire, wire.RIGHT, "--output", path), 1, path, "No such file or directory")
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_an_output_that_is_a_directory_is_refused(wire, tmp_path):
    check_failure(attach(wire, wire.RIGHT, "--output", tmp_path), 1, tmp_path, "directory")


def test_a_failed_attach_does_not_truncate_the_output(wire, tmp_path):
    path = tmp_path / "flows.json"
    path.write_text("precious\n")
    check_failure(attach(wire, "nosuch0", "--output", path), 1, "nosuch0")
    assert path.read_text() == "precious\n"


def test_a_closed_standard_output_is_refused(wire, start_agent):
    """A record must not go into another file that was given descriptor 1."""
    agent = start_agent(wire.right, wire.RIGHT, "--duration", "1s", prefix=["sh", "-c", 'exec "$@" >&-', "sh"])
    check_failure(agent.wait(), 1, "standard output")
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_no_record_is_lost_if_standard_error_cannot_be_written(wire, start_agent, tmp_path):
    """As in `tcpwin-agent attach eth0 2>&1 | head -1`."""
    path = tmp_path / "flows.json"
    agent = start_agent(wire.right, wire.RIGHT, "--output", path, *LONG, prefix=["sh", "-c", 'exec "$@" 2>/dev/full', "sh"])
    assert wait_until(lambda: wire.right.xdp_programs(wire.RIGHT))
    assert wait_until(path.exists)
    send(wire, from_client())
    outcome = agent.stop()
    assert sides(parse_lines(path.read_text()))[0]["packets"] == 1
    assert outcome.exit_code in (0, 1), "an orderly end"
    assert wire.right.xdp_programs(wire.RIGHT) == []


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    ends = {"reader": reader, "writer": writer}

    def close(name):
        os.close(ends.pop(name))

    yield reader, writer, close
    for name in list(ends):
        close(name)


def test_a_closed_output_pipe_ends_the_agent(wire, start_agent, pipe):
    _, writer, close = pipe
    agent = start_agent(wire.right, wire.RIGHT, *LONG, stdout=writer).wait_attached(wire.RIGHT)
    close("writer")
    send(wire, from_client())
    close("reader")
    outcome = agent.wait()
    check_failure(outcome, 1, "standard output", "reader")
    assert outcome.report["packets seen"] == 1, "the end report is still printed"
    assert outcome.report["records that could not be written"] == 1
    assert wire.right.xdp_programs(wire.RIGHT) == []


def test_each_record_is_written_to_a_pipe_at_once(wire, start_agent, pipe):
    reader, writer, close = pipe
    agent = start_agent(wire.right, wire.RIGHT, "--timeout-est", "50ms", stdout=writer).wait_attached(wire.RIGHT)
    close("writer")
    send(wire, from_client())
    os.set_blocking(reader, False)
    received = bytearray()

    def line_arrived():
        try:
            received.extend(os.read(reader, 65536))
        except BlockingIOError:
            pass
        return received.endswith(b"\n")

    assert wait_until(line_arrived), "no record while the agent runs"
    assert sides(parse_lines(received))[0]["packets"] == 1
    assert agent.stop().exit_code == 0
