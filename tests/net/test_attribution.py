# SPDX-License-Identifier: Apache-2.0
"""`local`: which program of this host an endpoint belongs to. Real programs in cgroups that the test makes."""
import os
import pathlib
import subprocess
import sys

import pytest

from agent import NOBODY, USER, become, helpers_of, run_agent, status_of, wait_confined
from captures import DIRECTORY
from lines import parse_lines
from network import TIMEOUT, run, wait_until
from stalled import ADDRESSES, READER, WRITER

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("setpriv", "ss")]

PROGRAM = pathlib.Path(__file__).with_name("attribution_peers.py")
COMMAND = pathlib.Path(sys.executable).name[:15]
ALARM = ("--profile", "monitor", "--stall-alarm", "300ms")
ID = "0123456789abcdef" * 4
POD = "5a6ee2a1-0b4c-4b6f-9f5e-6f1f0c0d0e0f"
POD_ = POD.replace("-", "_")

# As systemd, Docker, containerd, CRI-O, Podman and the kubelet name cgroups: path, unit, container, pod.
CGROUPS = {
    "service": ("system.slice/nginx.service", "nginx.service", None, None),
    "instance": ("system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", None, None),
    "session": ("user.slice/user-1000.slice/session-3.scope", "session-3.scope", None, None),
    "docker_systemd": (f"system.slice/docker-{ID}.scope", f"docker-{ID}.scope", ID, None),
    "docker_cgroupfs": (f"docker/{ID}", None, ID, None),
    "containerd_systemd": (f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_}.slice/"
                           f"cri-containerd-{ID}.scope", f"cri-containerd-{ID}.scope", ID, POD),
    "containerd_cgroupfs": (f"kubepods/burstable/pod{POD}/{ID}", None, ID, POD),
    "crio": (f"kubepods.slice/kubepods-pod{POD_}.slice/crio-{ID}.scope", f"crio-{ID}.scope", ID, POD),
    "crio_monitor": (f"kubepods.slice/kubepods-pod{POD_}.slice/crio-conmon-{ID}.scope", f"crio-conmon-{ID}.scope", None, POD),
    "podman": (f"machine.slice/libpod-{ID}.scope/container", f"libpod-{ID}.scope", ID, None),
}


def cgroup2():
    """Where the cgroup2 hierarchy is mounted; None: nowhere."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, directory, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(directory)
    return None


@pytest.fixture
def make_cgroup():
    """make_cgroup(path): its path in the hierarchy, below a directory of this test's own."""
    top = cgroup2()
    if top is None:
        pytest.skip("cgroup2 is not mounted")
    own = f"tcpwin-t{os.getpid()}.slice"

    def make(path):
        (top / own / path).mkdir(parents=True, exist_ok=True)
        return f"/{own}/{path}"

    yield make
    for directory, _, _ in os.walk(top / own, topdown=False):
        assert wait_until(lambda: not (pathlib.Path(directory) / "cgroup.procs").read_text()), directory
        os.rmdir(directory)


@pytest.fixture
def run_program(make_cgroup):
    """run_program(namespace, role, address, cgroup, user): a running program in its cgroup."""
    started = []

    def start(namespace, role, address, cgroup=None, user=None):
        enter = f"echo $$ > {cgroup2()}{cgroup}/cgroup.procs && " if cgroup else ""
        words = [] if user is None else become(user)
        command = namespace.inside("sh", "-c", f'{enter}exec "$@"', "sh", *words, sys.executable, PROGRAM, role, address)
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() in ("listening\n", "connected\n")
        return started[-1]

    yield start
    for process in started:
        process.stdin.close()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()


def pids_of(program):
    """Waits for the connection."""
    return [int(word) for word in program.stdout.readline().split()]


def wait_for(agent, event, **fields):
    """The first line of this kind."""
    found = []

    def look():
        found[:] = [line for line in parse_lines(agent.out.read_text(), whole=False) if line["event"] == event and
                    all(line[name] == value for name, value in fields.items())]
        return found
    assert wait_until(look), agent.out.read_text() + agent.stderr()
    return found[0]


def local_of(record, ip):
    """Of the endpoint with this address."""
    side, = [side for side in (record["a"], record["b"]) if side and side["ip"] == ip]
    return side["local"]


def unread(namespace):
    """Recv-Q of the only connection there."""
    line, = run(*namespace.inside("ss", "-Htn")).stdout.splitlines()
    return int(line.split()[1])


def test_the_reader_that_stalls_is_named(make_wire, watch, run_program, make_cgroup, tmp_path):
    """In the alarm, in the flow record, by `flows` and by `explain`. The program is of another user."""
    wire = make_wire(ADDRESSES)
    agent = watch(wire, *ALARM)
    cgroup = make_cgroup("system.slice/reader.service")
    reader = run_program(wire.right, "listen", WRITER, cgroup, USER)
    writer = run_program(wire.left, "connect", WRITER)
    pids = pids_of(reader)
    assert pids_of(writer)
    alarm = wait_for(agent, "alarm", alarm="stall")
    local = alarm["receiver"]["local"]
    assert alarm["receiver"]["ip"] == WRITER and alarm["sender"]["local"] is None
    named = {"uid": USER, "pids": pids, "command": COMMAND, "cgroup": cgroup, "unit": "reader.service",
             "container": None, "pod": None}
    assert {name: local[name] for name in named} == named
    socket = local["socket"]
    assert 0 < socket["receive_queue"] <= socket["receive_buffer"] and socket["rwnd_limited"] == 0
    assert socket["receive_queue"] <= unread(wire.right)

    live, = run_agent("flows", "--json", prefix=wire.right.inside()).records
    assert {name: local_of(live, WRITER)[name] for name in named} == named and local_of(live, READER) is None
    table = run_agent("flows", prefix=wire.right.inside()).stdout.splitlines()
    assert table[0].split()[-1] == "PROGRAM" and table[1].endswith(f"{COMMAND}[{pids[0]}]")

    reader.stdin.close()
    reader.wait(TIMEOUT)
    outcome = agent.stop()
    flow, = [line for line in outcome.records if line["event"] == "flow" and not line["interim"]]
    assert {name: local_of(flow, WRITER)[name] for name in named} == named and local_of(flow, READER) is None
    lines = tmp_path / "lines"
    lines.write_text(outcome.stdout)
    text = run_agent("explain", lines).stdout
    assert f"is {COMMAND} (pid {pids[0]}, uid {USER}, reader.service) on the agent's host" in text


def test_the_sender_that_waits_is_named_with_what_the_kernel_counted(make_wire, watch, run_program):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, *ALARM)
    reader = run_program(wire.left, "listen", READER)
    writer = run_program(wire.right, "connect", READER)
    pids_of(reader)
    pids = pids_of(writer)
    alarm = wait_for(agent, "alarm", alarm="stall")
    writer.stdin.write("rwnd\n")
    writer.stdin.flush()
    later = float(writer.stdout.readline())
    sender = alarm["sender"]["local"]
    assert (sender["pids"], alarm["receiver"]["local"]) == (pids, None)
    assert 0.2 <= sender["socket"]["rwnd_limited"] <= later


@pytest.mark.parametrize("name", CGROUPS)
def test_names_of_cgroups(name, make_wire, watch, run_program, make_cgroup):
    path, unit, container, pod = CGROUPS[name]
    cgroup = make_cgroup(path)
    wire = make_wire(ADDRESSES)
    agent = watch(wire)
    reader = run_program(wire.right, "listen", WRITER, cgroup)
    writer = run_program(wire.left, "connect", WRITER)
    assert pids_of(reader) and pids_of(writer)
    flow, = agent.stop().records
    local = local_of(flow, WRITER)
    # systemd looks for a unit below slices only; the directory of this test is one.
    assert (local["cgroup"], local["unit"], local["container"], local["pod"]) == (cgroup, unit, container, pod)


def test_all_processes_that_share_a_socket_are_named(make_wire, watch, run_program):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, *ALARM)
    reader = run_program(wire.right, "fork", WRITER)
    run_program(wire.left, "connect", WRITER)
    pids = pids_of(reader)
    assert len(pids) == 3
    assert wait_for(agent, "alarm", alarm="stall")["receiver"]["local"]["pids"] == pids


def test_of_a_program_that_ended_only_what_was_noted_is_known(make_wire, watch, run_program, make_cgroup):
    wire = make_wire(ADDRESSES)
    agent = watch(wire)
    cgroup = make_cgroup("system.slice/short.service")
    reader = run_program(wire.right, "listen", WRITER, cgroup, USER)
    writer = run_program(wire.left, "connect", WRITER)
    assert pids_of(reader) and pids_of(writer)
    for program in writer, reader:
        program.stdin.close()
        program.wait(TIMEOUT)
    flow = agent.stop().records[0]
    assert local_of(flow, WRITER) == {
        "uid": USER, "pids": None, "command": None, "cgroup": cgroup, "unit": "short.service", "container": None,
        "pod": None, "socket": None}


def test_a_cgroup_that_was_removed_is_unknown(make_wire, watch, run_program, make_cgroup):
    wire = make_wire(ADDRESSES)
    agent = watch(wire)
    cgroup = make_cgroup("gone.service")
    reader = run_program(wire.right, "listen", WRITER, cgroup)
    writer = run_program(wire.left, "connect", WRITER)
    assert pids_of(reader) and pids_of(writer)
    for program in writer, reader:
        program.stdin.close()
        program.wait(TIMEOUT)
    directory = pathlib.Path(f"{cgroup2()}{cgroup}")
    assert wait_until(lambda: not (directory / "cgroup.procs").read_text())
    directory.rmdir()
    flow = agent.stop().records[0]
    local = local_of(flow, WRITER)
    assert (local["uid"], local["cgroup"], local["unit"]) == (0, None, None)


def test_a_pod_is_named_by_its_veth_in_the_host(make_wire, watch, run_program, make_cgroup):
    """The reader lives in another network namespace, at the other end of the watched veth."""
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--mode", "tc", *ALARM)
    cgroup = make_cgroup(CGROUPS["crio"][0])
    reader = run_program(wire.left, "listen", READER, cgroup)
    writer = run_program(wire.right, "connect", READER)
    pids, senders = pids_of(reader), pids_of(writer)
    alarm = wait_for(agent, "alarm", alarm="stall")
    local = alarm["receiver"]["local"]
    assert (local["pids"], local["container"], local["pod"]) == (pids, ID, POD)
    assert local["socket"] is None, "sock_diag sees the agent's network namespace only"
    assert alarm["sender"]["local"]["pids"] == senders


def test_both_sides_are_named_on_the_loopback(make_wire, start_agent, run_program):
    wire = make_wire(ADDRESSES)
    wire.right.ip("link", "set", "dev", "lo", "up")
    agent = start_agent(wire.right, "lo", *ALARM).wait_attached("lo")
    reader = run_program(wire.right, "listen", "127.0.0.1")
    writer = run_program(wire.right, "connect", "127.0.0.1")
    pids, senders = pids_of(reader), pids_of(writer)
    alarm = wait_for(agent, "alarm", alarm="stall")
    assert (alarm["receiver"]["local"]["pids"], alarm["sender"]["local"]["pids"]) == (pids, senders)
    assert alarm["receiver"]["local"]["socket"]["receive_queue"] > 0
    assert alarm["sender"]["local"]["socket"]["rwnd_limited"] > 0


def test_without_egress_the_socket_is_found_by_its_addresses(make_wire, watch, run_program):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--direction", "ingress", *ALARM, "--limited-alarm", "none")
    reader = run_program(wire.left, "listen", READER)
    writer = run_program(wire.right, "connect", READER)
    pids_of(reader)
    pids = pids_of(writer)
    local = wait_for(agent, "alarm", alarm="stall")["sender"]["local"]
    assert (local["pids"], local["uid"]) == (pids, 0)


def test_an_answer_of_the_kernel_belongs_to_no_program(make_wire, watch, run_program):
    """A RST for a closed port is sent by a socket of the kernel."""
    wire = make_wire(ADDRESSES)
    agent = watch(wire)
    refused = subprocess.run(wire.left.inside(sys.executable, PROGRAM, "connect", WRITER), capture_output=True, text=True)
    assert "refused" in refused.stderr
    flow, = agent.stop().records
    assert "RST" in flow["b"]["tcp_flags"]
    assert (flow["a"]["local"], flow["b"]["local"]) == (None, None)


def test_no_attribution(make_wire, watch, run_program):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--no-attribution", *ALARM)
    assert "tcpwin-cgroups" not in helpers_of(agent)
    reader = run_program(wire.right, "listen", WRITER)
    writer = run_program(wire.left, "connect", WRITER)
    assert pids_of(reader) and pids_of(writer)
    alarm = wait_for(agent, "alarm", alarm="stall")
    assert (alarm["receiver"]["local"], alarm["sender"]["local"]) == (None, None)
    flow = agent.stop().records[-1]
    assert (flow["a"]["local"], flow["b"]["local"]) == (None, None)


def test_the_helper_can_only_list_cgroups(wire, watch):
    agent = wait_confined(watch(wire))
    helper = helpers_of(agent)["tcpwin-cgroups"]
    assert wait_until(lambda: status_of(helper)["Seccomp"] == "2")
    status = status_of(helper)
    assert status["Uid"].split() == [str(NOBODY)] * 4 and status["NoNewPrivs"] == "1"
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == ["0" * 16] * 4
    assert sorted(os.listdir(f"/proc/{helper}/fd")) == ["0", "1", "2", "3"]
    assert agent.stop().exit_code == 0
    assert wait_until(lambda: not os.path.exists(f"/proc/{helper}"))


def test_a_replay_names_nobody():
    records = run_agent("replay", DIRECTORY / "zerowindow_recovery.pcapng").records
    assert records and all(side["local"] is None for record in records for side in (record["a"], record["b"]) if side)
