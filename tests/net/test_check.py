# SPDX-License-Identifier: Apache-2.0
"""`tcpwin-agent check`: its answers are what `ip`, `bpftool` and `attach` say, and nothing is attached."""
import json
import platform
import re
import shutil
import subprocess

import pytest

from agent import BINARY, run_agent
from network import run

pytestmark = pytest.mark.needs_root

WORKS, FAILS = 0, 69
CAPABILITIES = ["bpf", "net_admin", "perfmon"]
PROGRAMS = """
__attribute__((section("xdp"), used)) int passer(void *ctx) { return 2; }
__attribute__((section("tc"), used)) int tcpwin_tiny(void *ctx) { return -1; }
__attribute__((section("tc_other"), used)) int stranger(void *ctx) { return -1; }
char terms[] __attribute__((section("license"), used)) = "GPL";
"""
VERSION = tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups()))
TCX = VERSION >= (6, 6)
TC = "TCX" if TCX else "clsact"
# Before, no kernel tells what XDP a driver has.
TELLS = VERSION >= (6, 3)
UNTOLD = "native or else generic XDP"
NATIVE, GENERIC = ("native XDP", "generic XDP") if TELLS else (UNTOLD, UNTOLD)


class Answers:
    """The lines of a check by name: answers["MTU"] == ("yes", "1500")."""

    def __init__(self, done):
        self.exit_code = done.returncode
        *lines, self.verdict = done.stdout.splitlines()
        self.lines = {}
        for line in lines:
            name, answer, text = re.fullmatch(r"(.{22}) (yes |no  |\?   ) (\S.*)", line).groups()
            assert name.strip() not in self.lines
            assert len(line) <= 80, line
            self.lines[name.strip()] = answer.strip(), text

    def __getitem__(self, name):
        return self.lines[name]

    def answers(self, *names):
        return [self.lines[name][0] for name in names]


@pytest.fixture
def check(wire, public_directory):
    """check(device=None, as_user=False, capabilities=(), prefix=()): Answers, in the watched namespace."""
    binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")

    def check(device=None, as_user=False, capabilities=(), prefix=()):
        command = [*prefix, *(become_user(capabilities) if as_user else []), binary]
        done = subprocess.run(wire.right.inside(*command, "check", *([device] if device else [])), text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.stderr == ""
        return Answers(done)

    return check


def become_user(capabilities):
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"--inh-caps={kept}",
            f"--ambient-caps={kept}", f"--bounding-set={kept}"]


def ip(namespace, *arguments):
    return run("ip", "-n", namespace.name, *arguments)


@pytest.fixture
def programs(tmp_path):
    source, compiled = tmp_path / "programs.c", tmp_path / "programs.o"
    source.write_text(PROGRAMS)
    run("clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o", compiled)
    return compiled


def told(*answers):
    """Answers about XDP in a driver."""
    return list(answers) if TELLS else ["?"] * len(answers)


def index_of(namespace, device):
    return namespace.link(device)["ifindex"]


def attached_mode(start_agent, namespace, device):
    """The mode that attach takes by itself: the truth."""
    agent = start_agent(namespace, device).wait_attached(device)
    mode = re.search(rf"attached to {device} in (\w+) mode", agent.stderr())[1]
    assert agent.stop().exit_code == 0
    return mode


def test_kernel_and_user(check):
    found = check()
    assert (found.exit_code, found.verdict) == (WORKS, "attach would work")
    assert found["kernel"] == ("yes", platform.release())
    assert found["capabilities"] == ("yes", "CAP_BPF CAP_NET_ADMIN CAP_PERFMON")
    assert found.answers("XDP programs", "BPF ring buffer", "bpf_for_each_map_elem", "BPF syscall programs", "bpf_loop",
                         "xdp.frags programs", "memlock") == ["yes"] * 7
    assert found["TCX"][0] == ("yes" if TCX else "no")
    assert "interface" not in found.lines


def test_veth(check, wire, start_agent):
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["interface"] == ("yes", f"{wire.RIGHT}, index {index_of(wire.right, wire.RIGHT)}, up")
    assert found["driver"] == ("yes", "veth, kind veth")
    assert found["MTU"] == ("yes", "1500")
    assert found.answers("Ethernet headers", "XDP generic", "XDP is free", "both directions") == ["yes"] * 4
    assert found.answers("XDP native", "XDP frags") == told("yes", "yes")
    assert found["tc"] == (("yes", "TCX") if TCX else ("?", "clsact; needs the modules sch_ingress and cls_bpf"))
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert attached_mode(start_agent, wire.right, wire.RIGHT) == "native"


def test_interface_that_is_down(check, wire):
    ip(wire.right, "link", "set", "dev", wire.RIGHT, "down")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["interface"][0] == "yes" and ", down" in found["interface"][1]


def test_loopback(check, wire, start_agent):
    found = check("lo")
    assert (found.exit_code, found.verdict) == (WORKS, "attach lo would work: generic XDP for ingress")
    assert found["driver"] == ("no", "none")
    assert found["MTU"] == ("yes", "65536: no limit to generic XDP and tc")
    assert found.answers("XDP generic", "both directions") == ["yes", "no"]
    assert found.answers("XDP native", "XDP frags") == told("no", "no")
    assert attached_mode(start_agent, wire.right, "lo") == "generic"


def test_bridge(check, wire, start_agent):
    ip(wire.right, "link", "add", "bridge0", "type", "bridge")
    found = check("bridge0")
    assert found.exit_code == WORKS
    assert found.verdict == f"attach bridge0 would work: {GENERIC} for ingress, {TC} for egress"
    assert found["driver"] == ("yes", "bridge, kind bridge")
    assert found.answers("Ethernet headers", "XDP generic") == ["yes", "yes"]
    assert found.answers("XDP native", "XDP frags") == told("no", "no")
    assert attached_mode(start_agent, wire.right, "bridge0") == "generic"


def test_tun_has_no_ethernet_headers(check, wire):
    ip(wire.right, "tuntap", "add", "tun0", "mode", "tun")
    assert wire.right.link("tun0")["link_type"] == "none"
    found = check("tun0")
    assert (found.exit_code, found.verdict) == (WORKS, f"attach tun0 would work: {TC} for ingress and egress")
    assert found["driver"] == ("yes", "tun, kind tun")
    assert found.answers("Ethernet headers", "XDP generic", "both directions") == ["no", "no", "yes"]


@pytest.mark.parametrize("mtu", [3506, 3507, 9000])
def test_mtu(mtu, check, wire, start_agent):
    for namespace, device in ((wire.left, wire.LEFT), (wire.right, wire.RIGHT)):
        ip(namespace, "link", "set", "dev", device, "mtu", str(mtu))
    found = check(wire.RIGHT)
    if mtu <= 3506:
        assert found["MTU"] == ("yes", str(mtu))
    elif TELLS:
        assert found["MTU"] == ("yes", f"{mtu}: XDP needs frags above 3506; supported")
    else:
        assert found["MTU"] == ("?", f"{mtu}: above 3506 native XDP may need frags")
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert attached_mode(start_agent, wire.right, wire.RIGHT) == "native"


def test_large_frames_for_a_driver_without_frags(check, wire):
    """Whether it takes them is not known: most do not, tap does."""
    ip(wire.right, "tuntap", "add", "tap0", "mode", "tap")
    ip(wire.right, "link", "set", "dev", "tap0", "mtu", "9000")
    found = check("tap0")
    assert found.exit_code == WORKS
    assert found.answers("XDP native", "XDP frags") == told("yes", "no")
    assert found["MTU"][0] == "?"
    assert found.verdict == f"attach tap0 would work: {UNTOLD} for ingress, {TC} for egress"


@pytest.mark.skipif(not TELLS, reason="Linux 6.3 or later tells what XDP a driver has")
def test_large_frames_without_native_xdp(check, wire):
    ip(wire.right, "link", "add", "bridge0", "mtu", "9000", "type", "bridge")
    assert check("bridge0")["MTU"] == ("yes", "9000: no limit to generic XDP and tc")


def test_no_such_interface(check):
    found = check("nosuch0")
    assert found.exit_code == FAILS
    assert found["interface"] == ("no", "there is no such interface")
    assert found.verdict == "attach nosuch0 would fail: there is no such interface; 'ip link' lists them"
    assert "MTU" not in found.lines


def test_name_of_another_namespace_is_no_such_interface(check, wire):
    assert check(wire.LEFT).exit_code == FAILS


def test_alternative_name(check, wire):
    ip(wire.right, "link", "property", "add", "dev", wire.RIGHT, "altname", "other-name")
    found = check("other-name")
    assert found.exit_code == WORKS
    assert found["interface"][1].startswith(f"{wire.RIGHT}, index")
    assert found["driver"] == ("yes", "veth, kind veth")


@pytest.mark.needs("setpriv")
def test_ordinary_user_is_told_what_can_be_known(check, wire):
    found = check(wire.RIGHT, as_user=True)
    assert found.exit_code == FAILS
    assert found["capabilities"] == ("no", "missing CAP_BPF CAP_NET_ADMIN CAP_PERFMON")
    assert found.verdict.startswith(f"attach {wire.RIGHT} would fail: missing CAP_BPF CAP_NET_ADMIN CAP_PERFMON; run as root")
    assert found["kernel"][0] == "yes"
    unknown = ["XDP programs", "BPF ring buffer", "bpf_for_each_map_elem", "BPF syscall programs", "bpf_loop",
               "xdp.frags programs", "TCX", "tc", "tc without an agent"]
    assert found.answers(*unknown) == ["?"] * len(unknown)
    assert found.answers("interface", "driver", "MTU", "XDP generic", "XDP is free") == ["yes"] * 5
    assert found.answers("XDP native", "XDP frags") == told("yes", "yes")


@pytest.mark.needs("setpriv")
def test_ordinary_user_with_the_three_capabilities(check, wire):
    found = check(wire.RIGHT, as_user=True, capabilities=CAPABILITIES)
    assert found.exit_code == WORKS
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert found["capabilities"][0] == "yes"
    unknown = {name for name, (answer, _) in found.lines.items() if answer == "?"}
    assert unknown <= ({"tc"} if TELLS else {"tc", "XDP native", "XDP frags"})


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("missing", CAPABILITIES)
def test_each_missing_capability_is_named(missing, check, wire):
    found = check(wire.RIGHT, as_user=True, capabilities=[name for name in CAPABILITIES if name != missing])
    assert found.exit_code == FAILS
    assert found["capabilities"] == ("no", f"missing CAP_{missing.upper()}")
    assert found.verdict.startswith(f"attach {wire.RIGHT} would fail: missing CAP_{missing.upper()}; ")


def test_sys_admin_stands_for_two(check, wire):
    assert check(wire.RIGHT, as_user=True, capabilities=["sys_admin", "net_admin"]).exit_code == WORKS


@pytest.mark.needs("unshare")
def test_capabilities_of_a_user_namespace_are_not_enough(check):
    found = check("lo", prefix=["unshare", "--user", "--map-root-user"])
    assert found.exit_code == FAILS
    assert found["capabilities"][0] == "no" and "container" in found["capabilities"][1]
    assert found["bpf_loop"][0] == "?"
    assert "user namespace" in found.verdict


@pytest.mark.needs("clang")
@pytest.mark.parametrize("flag, mode", [("xdpgeneric", "generic"), ("xdpdrv", "native")])
def test_xdp_program_of_somebody_else(flag, mode, check, wire, programs):
    ip(wire.right, "link", "set", "dev", wire.RIGHT, flag, "obj", programs, "sec", "xdp")
    program, = wire.right.xdp_programs(wire.RIGHT)
    found = check(wire.RIGHT)
    assert found.exit_code == FAILS
    assert found["XDP is free"] == ("no", f"'passer' (id {program}, {mode})")
    assert found.verdict == \
        f"attach {wire.RIGHT} would fail: XDP is taken by 'passer' (id {program}, {mode}); --mode tc works"
    assert wire.right.xdp_programs(wire.RIGHT) == [program]
    assert run_agent("attach", wire.RIGHT, prefix=wire.right.inside()).exit_code != 0


@pytest.mark.needs("clang", "setpriv")
def test_xdp_program_whose_name_may_not_be_known(check, wire, programs):
    ip(wire.right, "link", "set", "dev", wire.RIGHT, "xdpgeneric", "obj", programs, "sec", "xdp")
    program, = wire.right.xdp_programs(wire.RIGHT)
    found = check(wire.RIGHT, as_user=True, capabilities=CAPABILITIES)
    assert found.exit_code == FAILS
    assert found["XDP is free"] == ("no", f"a program (id {program}, generic)")


@pytest.mark.needs("clang")
@pytest.mark.parametrize("upper", [["bridge0", "type", "bridge"], ["macvlan0", "link", "WATCHED", "type", "macvlan"]],
                         ids=["bridge", "macvlan"])
def test_xdp_program_above(upper, check, wire, programs):
    """The kernel has no XDP below an interface that has a program; tc takes its place."""
    name, *rest = [wire.RIGHT if word == "WATCHED" else word for word in upper]
    ip(wire.right, "link", "add", name, *rest)
    if name == "bridge0":
        ip(wire.right, "link", "set", "dev", wire.RIGHT, "master", name)
    assert check(wire.RIGHT).exit_code == WORKS
    ip(wire.right, "link", "set", "dev", name, "xdpgeneric", "obj", programs, "sec", "xdp")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["XDP is free"][0] == "no" and found["XDP is free"][1].endswith(f"generic) on {name}")
    attached = run_agent("attach", wire.RIGHT, "--duration", "1ms", prefix=wire.right.inside())
    assert attached.exit_code == 0 and f"attached to {wire.RIGHT} in tc mode" in attached.stderr


@pytest.mark.needs("clang")
def test_xdp_program_does_not_matter_where_tc_is_used(check, wire, programs):
    ip(wire.right, "tuntap", "add", "tun0", "mode", "tun")
    ip(wire.right, "link", "set", "dev", "tun0", "xdpgeneric", "obj", programs, "sec", "xdp")
    found = check("tun0")
    assert (found.exit_code, found["XDP is free"][0]) == (WORKS, "no")


def test_running_agent_is_named(check, wire, watch):
    agent = watch(wire)
    found = check(wire.RIGHT)
    assert found.exit_code == FAILS
    assert re.fullmatch(r"'tcpwin_xdp' \(id \d+, native\): another agent", found["XDP is free"][1])
    assert "end the other agent, or --mode tc works" in found.verdict
    assert agent.stop().exit_code == 0
    assert check(wire.RIGHT).exit_code == WORKS


@pytest.mark.needs("clang", "tc")
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_tc_program_of_an_agent(direction, check, wire, programs):
    run("tc", "-n", wire.right.name, "qdisc", "add", "dev", wire.RIGHT, "clsact")
    add_filter = ["tc", "-n", wire.right.name, "filter", "add", "dev", wire.RIGHT, direction, "bpf", "da", "obj", programs]
    run(*add_filter, "sec", "tc_other")
    assert check(wire.RIGHT)["tc without an agent"] == ("yes", "1 of others")
    run(*add_filter, "sec", "tc")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert re.fullmatch(rf"'tcpwin_tiny' \(id \d+, {direction}\)", found["tc without an agent"][1])
    assert found["tc without an agent"][0] == "no"


@pytest.mark.needs("bpftool", "tc")
def test_nothing_is_attached_or_stays_loaded(check, wire):
    check(wire.RIGHT)
    assert wire.right.xdp_programs(wire.RIGHT) == []
    assert "clsact" not in run("tc", "-n", wire.right.name, "qdisc", "show", "dev", wire.RIGHT).stdout
    net, = json.loads(run(*wire.right.inside("bpftool", "-j", "net")).stdout)
    assert (net["xdp"], net["tc"]) == ([], [])
    loaded = json.loads(run("bpftool", "-j", "prog").stdout)
    assert [program for program in loaded if program.get("name") == "tcpwin_trial"] == []


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("filesystem, answer", [("bpf", "yes"), ("tmpfs", "no")])
def test_bpffs(filesystem, answer, check):
    mounted = ["unshare", "--mount", "sh", "-c", f'mount -t {filesystem} none /sys/fs/bpf && exec "$@"', "sh"]
    found = check(prefix=mounted)
    assert found.exit_code == WORKS
    assert found["bpffs"][0] == answer and "--persistent" in found["bpffs"][1]


def test_full_disk_is_a_failure():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "check"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "tcpwin-agent: error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["lo", "eth0"], [""], ["--nonsense"]])
def test_wrong_usage(arguments):
    outcome = run_agent("check", *arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    sentence, = outcome.errors
    assert "see tcpwin-agent check --help" in sentence
