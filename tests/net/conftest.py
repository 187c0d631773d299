# SPDX-License-Identifier: Apache-2.0
"""Fixtures: namespaces and agents that are gone after each test, whatever happened in it."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from agent import BINARY, Agent
from leftovers import Persistent
from network import Wire, run
from topology import Topology

SKIPPED = 77  # what CTest is told by SKIP_RETURN_CODE


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        if "needs_root" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs root: network namespaces and BPF"))


def pytest_configure(config):
    # Ended from outside, the fixtures still clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "needs_root: makes network namespaces, loads BPF programs")
    config.addinivalue_line("markers", "needs(tool...): programs without which the test cannot run")


def pytest_sessionfinish(session, exitstatus):
    """A file of which nothing ran must not look as if it had passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED


@pytest.fixture(autouse=True)
def tools(request):
    """A missing tool is a failure with a reason, not a silent skip."""
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
    """Two hosts, client and server, see topology.py."""
    made = Topology()
    yield made
    made.delete()


@pytest.fixture
def start_agent(tmp_path):
    """start_agent(namespace, arguments...): an Agent, not yet attached."""
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
    """watch(wire, options...): an Agent attached to the wire's watched end."""
    return lambda wire, *options: start_agent(wire.right, wire.RIGHT, *options).wait_attached(wire.RIGHT)


@pytest.fixture
def processes():
    """Starts processes and ends those that are left."""
    started = []

    def start(command, **options):
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@pytest.fixture
def public_directory():
    """A directory that other users may read, unlike tmp_path."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tcpwin-t"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def bpffs(tmp_path):
    """A bpffs of the test's own: what is pinned goes with it."""
    directory = tmp_path / "bpffs"
    directory.mkdir()
    run("mount", "-t", "bpf", "bpf", directory)
    yield directory
    run("umount", directory)


@pytest.fixture
def persistent(bpffs, start_agent, tmp_path):
    """Agents with --persistent. They are gone before their bpffs is."""
    return Persistent(start_agent, bpffs, tmp_path / "flows.json")


@pytest.fixture
def ends(wire):
    """Two veth pairs between the namespaces: names of the watched ends."""
    run("ip", "-n", wire.left.name, "link", "add", "name", "sender1", "type", "veth", "peer", "name", "watched1",
        "netns", wire.right.name)
    for namespace, device in (wire.left, "sender1"), (wire.right, "watched1"):
        run("ip", "-n", namespace.name, "link", "set", "dev", device, "addrgenmode", "none", "arp", "off", "up")
    return wire.RIGHT, "watched1"
