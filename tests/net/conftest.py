# SPDX-License-Identifier: Apache-2.0
"""Fixtures: namespaces and agents, which are removed after each test, whatever its outcome."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from agent import BINARY, Agent
from foreign import FOREIGN, compile_bpf
from leftovers import Persistent
from network import Wire, run
from topology import Topology

BRIDGE_ONLY = "for f in /proc/sys/net/bridge/bridge-nf-call-*; do echo 0 > $f; done 2>/dev/null || true"
SKIPPED = 77  # CTest: SKIP_RETURN_CODE


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        if "needs_root" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs root: network namespaces and BPF"))


def pytest_configure(config):
    # On SIGTERM, too, the fixtures clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "needs_root: creates network namespaces, loads BPF programs")
    config.addinivalue_line("markers", "needs(tool...): programs that the test runs")


def pytest_sessionfinish(session, exitstatus):
    """A file in which every test was skipped must not look as if it had passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED


@pytest.fixture(autouse=True)
def tools(request):
    """A missing tool fails the test with a reason; it is not a silent skip."""
    for mark in request.node.iter_markers("needs"):
        for tool in mark.args:
            assert shutil.which(tool), f"{tool} is not installed: make deps installs it"
    assert os.access(BINARY, os.X_OK), f"no agent at {BINARY}: build it, or name it in TCPWIN_AGENT"


@pytest.fixture
def make_wire():
    """make_wire(addresses=None): a new Wire."""
    wires = []

    def make(addresses=None):
        wires.append(Wire())
        return wires[-1].build(addresses)

    yield make
    for wire in wires:
        wire.delete()


@pytest.fixture
def wire(make_wire):
    return make_wire()


@pytest.fixture
def topology():
    """Hosts `client` and `server`, see topology.py."""
    made = Topology()
    yield made
    made.delete()


@pytest.fixture
def start_agent(tmp_path):
    """start_agent(namespace, arguments...): an Agent, which may not be attached yet"""
    agents = []

    def start(namespace, *arguments, **options):
        directory = tmp_path / f"agent{len(agents)}"
        directory.mkdir()
        agents.append(Agent(namespace, *arguments, directory=directory, **options))
        return agents[-1]

    yield start
    for agent in agents:
        agent.kill()
    for agent in agents:
        agent.validate()


@pytest.fixture
def watch(start_agent):
    """watch(wire, options...): an Agent attached to the watched end of the wire"""
    return lambda wire, *options: start_agent(wire.right, wire.RIGHT, *options).wait_attached(wire.RIGHT)


@pytest.fixture
def public_directory():
    """A directory that other users can read, unlike tmp_path."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tcpwin-t"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def bpffs(tmp_path):
    """A private bpffs; everything pinned in it goes away with it."""
    directory = tmp_path / "bpffs"
    directory.mkdir()
    run("mount", "-t", "bpf", "bpf", directory)
    yield directory
    run("umount", directory)


@pytest.fixture
def persistent(bpffs, start_agent, tmp_path):
    """Agents with --persistent. They end before their bpffs is unmounted."""
    return Persistent(start_agent, bpffs, tmp_path / "flows.json")


@pytest.fixture
def ends(wire):
    """Two veth pairs between the namespaces: the names of the watched ends."""
    wire.left.ip("link", "add", "name", "sender1", "type", "veth", "peer", "name", "watched1", "netns", wire.right.name)
    wire.left.set_up("sender1")
    wire.right.set_up("watched1")
    return wire.RIGHT, "watched1"


@pytest.fixture
def behind(wire):
    """The far end of a veth pair whose near end is bridged with the watched end of the wire."""
    wire.right.add_pair("port0", "behind0")
    wire.right.ip("link", "add", "name", "bridge0", "type", "bridge", "mcast_snooping", "0")
    for device in "port0", wire.RIGHT:
        wire.right.ip("link", "set", "dev", device, "master", "bridge0")
    wire.right.set_up("bridge0")
    run(*wire.right.inside("sh", "-c", BRIDGE_ONLY))
    return "behind0"


@pytest.fixture
def foreign(tmp_path):
    """An object file with XDP and tc programs that do not belong to the agent."""
    return compile_bpf(tmp_path, FOREIGN)


@pytest.fixture
def processes():
    """processes(command, options...): a running process, which is killed at the end of the test"""
    started = []

    def start(command, **options):
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
