# SPDX-License-Identifier: Apache-2.0
"""`tcpwin-agent check`: its answers agree with `ip`, `bpftool` and `attach`, and it attaches nothing."""
import json
import platform
import re
import shutil
import subprocess

import pytest

from agent import BINARY, CAPABILITIES, USER, become, run_agent
from network import TIMEOUT, run

pytestmark = pytest.mark.needs_root

WORKS, FAILS = 0, 69
VERSION = tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups()))
TCX = VERSION >= (6, 6)
TC = "TCX" if TCX else "clsact"
# Since Linux 6.3 the kernel reports the XDP features of a driver.
REPORTED = VERSION >= (6, 3)
UNKNOWN = "native or generic XDP"
NATIVE, GENERIC = ("native XDP", "generic XDP") if REPORTED else (UNKNOWN, UNKNOWN)


class Answers:
    """The lines of `check` by name: answers["MTU"] == ("yes", "1500")"""

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
    """check(device=None, as_user=False, capabilities=(), prefix=()): the Answers in the watched namespace"""
    binary = shutil.copy(BINARY, public_directory / "tcpwin-agent")

    def check(device=None, as_user=False, capabilities=(), prefix=()):
        command = [*prefix, *(become(USER, capabilities) if as_user else []), binary]
        done = subprocess.run(wire.right.inside(*command, "check", *([device] if device else [])), text=True,
                              capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        assert done.stderr == ""
        return Answers(done)

    return check


def if_reported(*answers):
    """The answers about the XDP features of a driver, which older kernels do not report."""
    return list(answers) if REPORTED else ["?"] * len(answers)


def attached_mode(start_agent, namespace, device):
    """The mode that attach really chooses."""
    agent = start_agent(namespace, device).wait_attached(device)
    mode = re.search(rf"attached to {device} in (\w+) mode", agent.stderr())[1]
    assert agent.stop().exit_code == 0
    return mode


def test_kernel_and_capabilities_are_reported(check):
    found = check()
    assert (found.exit_code, found.verdict) == (WORKS, "attach would work")
    assert found["kernel"] == ("yes", platform.release())
    assert found["capabilities"] == ("yes", "CAP_BPF CAP_NET_ADMIN CAP_PERFMON")
    assert found.answers("XDP programs", "BPF ring buffer", "bpf_for_each_map_elem", "BPF syscall programs", "bpf_loop",
                         "xdp.frags programs", "memlock") == ["yes"] * 7
    assert found["TCX"][0] == ("yes" if TCX else "no")
    assert "interface" not in found.lines


def test_veth_has_native_xdp(check, wire, start_agent):
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["interface"] == ("yes", f"{wire.RIGHT}, index {wire.right.index(wire.RIGHT)}, up")
    assert found["driver"] == ("yes", "veth, kind veth")
    assert found["MTU"] == ("yes", "1500")
    assert found.answers("Ethernet headers", "XDP generic", "XDP is free", "both directions") == ["yes"] * 4
    assert found.answers("XDP native", "XDP frags") == if_reported("yes", "yes")
    assert found["tc"] == (("yes", "TCX") if TCX else ("?", "clsact; needs the modules sch_ingress and cls_bpf"))
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert attached_mode(start_agent, wire.right, wire.RIGHT) == "native"


def test_an_interface_that_is_down_works(check, wire):
    wire.right.ip("link", "set", "dev", wire.RIGHT, "down")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["interface"][0] == "yes" and ", down" in found["interface"][1]


def test_loopback_is_watched_at_egress_only(check, wire, start_agent):
    found = check("lo")
    assert (found.exit_code, found.verdict) == (WORKS, f"attach lo would work: {TC} for egress")
    assert found["driver"] == ("no", "none")
    assert found["MTU"] == ("yes", "65536: no limit for generic XDP and tc")
    assert found.answers("XDP generic", "both directions") == ["yes", "no"]
    assert found.answers("XDP native", "XDP frags") == if_reported("no", "no")
    agent = start_agent(wire.right, "lo").wait_attached("lo")
    assert f"attached to lo for outgoing packets by {TC}; they are also the incoming ones" in agent.stderr()
    assert wire.right.xdp_programs("lo") == []


def test_a_bridge_has_generic_xdp(check, wire, start_agent):
    wire.right.ip("link", "add", "bridge0", "type", "bridge")
    found = check("bridge0")
    assert found.exit_code == WORKS
    assert found.verdict == f"attach bridge0 would work: {GENERIC} for ingress, {TC} for egress"
    assert found["driver"] == ("yes", "bridge, kind bridge")
    assert found.answers("Ethernet headers", "XDP generic") == ["yes", "yes"]
    assert found.answers("XDP native", "XDP frags") == if_reported("no", "no")
    assert attached_mode(start_agent, wire.right, "bridge0") == "generic"


def test_tun_has_no_ethernet_headers(check, wire):
    wire.right.ip("tuntap", "add", "tun0", "mode", "tun")
    assert wire.right.link("tun0")["link_type"] == "none"
    found = check("tun0")
    assert (found.exit_code, found.verdict) == (WORKS, f"attach tun0 would work: {TC} for ingress and egress")
    assert found["driver"] == ("yes", "tun, kind tun")
    assert found.answers("Ethernet headers", "XDP generic", "both directions") == ["no", "no", "yes"]


@pytest.mark.parametrize("mtu", [3506, 3507, 9000])
def test_a_large_mtu_needs_frags(mtu, check, wire, start_agent):
    for namespace, device in ((wire.left, wire.LEFT), (wire.right, wire.RIGHT)):
        namespace.ip("link", "set", "dev", device, "mtu", str(mtu))
    found = check(wire.RIGHT)
    if mtu <= 3506:
        assert found["MTU"] == ("yes", str(mtu))
    elif REPORTED:
        assert found["MTU"] == ("yes", f"{mtu}: XDP needs frags above 3506; supported")
    else:
        assert found["MTU"] == ("?", f"{mtu}: above 3506 native XDP may need frags")
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert attached_mode(start_agent, wire.right, wire.RIGHT) == "native"


def test_large_frames_are_an_open_question_for_a_driver_without_frags(check, wire):
    """Whether such a driver takes them is unknown: most do not, tap does."""
    wire.right.ip("tuntap", "add", "tap0", "mode", "tap")
    wire.right.ip("link", "set", "dev", "tap0", "mtu", "9000")
    found = check("tap0")
    assert found.exit_code == WORKS
    assert found.answers("XDP native", "XDP frags") == if_reported("yes", "no")
    assert found["MTU"][0] == "?"
    assert found.verdict == f"attach tap0 would work: {UNKNOWN} for ingress, {TC} for egress"


@pytest.mark.skipif(not REPORTED, reason="only Linux 6.3 and later report the XDP features of a driver")
def test_generic_xdp_has_no_mtu_limit(check, wire):
    wire.right.ip("link", "add", "bridge0", "mtu", "9000", "type", "bridge")
    assert check("bridge0")["MTU"] == ("yes", "9000: no limit for generic XDP and tc")


def test_an_unknown_interface_fails(check):
    found = check("nosuch0")
    assert found.exit_code == FAILS
    assert found["interface"] == ("no", "there is no such interface")
    assert found.verdict == "attach nosuch0 would fail: there is no such interface; 'ip link' lists them"
    assert "MTU" not in found.lines


def test_an_interface_of_another_namespace_is_unknown(check, wire):
    assert check(wire.LEFT).exit_code == FAILS


def test_an_alternative_name_is_resolved(check, wire):
    wire.right.ip("link", "property", "add", "dev", wire.RIGHT, "altname", "other-name")
    found = check("other-name")
    assert found.exit_code == WORKS
    assert found["interface"][1].startswith(f"{wire.RIGHT}, index")
    assert found["driver"] == ("yes", "veth, kind veth")


@pytest.mark.needs("setpriv")
def test_an_ordinary_user_gets_the_answers_that_need_no_privileges(check, wire):
    found = check(wire.RIGHT, as_user=True)
    assert found.exit_code == FAILS
    assert found["capabilities"] == ("no", "missing CAP_BPF CAP_NET_ADMIN CAP_PERFMON")
    assert found.verdict.startswith(f"attach {wire.RIGHT} would fail: missing CAP_BPF CAP_NET_ADMIN CAP_PERFMON; run as root")
    assert found["kernel"][0] == "yes"
    unknown = ["XDP programs", "BPF ring buffer", "bpf_for_each_map_elem", "BPF syscall programs", "bpf_loop",
               "xdp.frags programs", "TCX", "tc", "no agent at tc"]
    assert found.answers(*unknown) == ["?"] * len(unknown)
    assert found.answers("interface", "driver", "MTU", "XDP generic", "XDP is free") == ["yes"] * 5
    assert found.answers("XDP native", "XDP frags") == if_reported("yes", "yes")


@pytest.mark.needs("setpriv")
def test_three_capabilities_are_enough(check, wire):
    found = check(wire.RIGHT, as_user=True, capabilities=CAPABILITIES)
    assert found.exit_code == WORKS
    assert found.verdict == f"attach {wire.RIGHT} would work: {NATIVE} for ingress, {TC} for egress"
    assert found["capabilities"][0] == "yes"
    unknown = {name for name, (answer, _) in found.lines.items() if answer == "?"}
    assert unknown <= ({"tc"} if REPORTED else {"tc", "XDP native", "XDP frags"})


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("missing", CAPABILITIES)
def test_each_missing_capability_is_named(missing, check, wire):
    found = check(wire.RIGHT, as_user=True, capabilities=[name for name in CAPABILITIES if name != missing])
    assert found.exit_code == FAILS
    assert found["capabilities"] == ("no", f"missing CAP_{missing.upper()}")
    assert found.verdict.startswith(f"attach {wire.RIGHT} would fail: missing CAP_{missing.upper()}; ")


def test_sys_admin_includes_bpf_and_perfmon(check, wire):
    assert check(wire.RIGHT, as_user=True, capabilities=["sys_admin", "net_admin"]).exit_code == WORKS


@pytest.mark.needs("unshare")
def test_capabilities_of_a_user_namespace_are_not_enough(check):
    made = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no user namespace can be made here, as in a chroot: {made.stderr.strip()}")
    found = check("lo", prefix=["unshare", "--user", "--map-root-user"])
    assert found.exit_code == FAILS
    assert found["capabilities"][0] == "no" and "container" in found["capabilities"][1]
    assert found["bpf_loop"][0] == "?"
    assert "user namespace" in found.verdict


@pytest.mark.needs("clang")
@pytest.mark.parametrize("flag, mode", [("xdpgeneric", "generic"), ("xdpdrv", "native")])
def test_a_foreign_xdp_program_is_named(flag, mode, check, wire, foreign):
    wire.right.ip("link", "set", "dev", wire.RIGHT, flag, "obj", foreign, "sec", "xdp")
    program, = wire.right.xdp_programs(wire.RIGHT)
    found = check(wire.RIGHT)
    assert found.exit_code == FAILS
    assert found["XDP is free"] == ("no", f"'foreign_xdp' (id {program}, {mode})")
    assert found["first to see packets"] == ("no", f"after 'foreign_xdp' (id {program}, {mode} XDP)")
    assert found.verdict == \
        f"attach {wire.RIGHT} would fail: XDP is used by 'foreign_xdp' (id {program}, {mode}); use --mode tc"
    assert wire.right.xdp_programs(wire.RIGHT) == [program]
    assert run_agent("attach", wire.RIGHT, prefix=wire.right.inside()).exit_code != 0


@pytest.mark.needs("clang", "setpriv")
def test_a_foreign_xdp_program_is_given_by_id_if_its_name_is_not_readable(check, wire, foreign):
    wire.right.ip("link", "set", "dev", wire.RIGHT, "xdpgeneric", "obj", foreign, "sec", "xdp")
    program, = wire.right.xdp_programs(wire.RIGHT)
    found = check(wire.RIGHT, as_user=True, capabilities=CAPABILITIES)
    assert found.exit_code == FAILS
    assert found["XDP is free"] == ("no", f"a program (id {program}, generic)")


@pytest.mark.needs("clang")
@pytest.mark.parametrize("upper", [["bridge0", "type", "bridge"], ["macvlan0", "link", "WATCHED", "type", "macvlan"]],
                         ids=["bridge", "macvlan"])
def test_an_xdp_program_on_an_upper_device_leaves_tc(upper, check, wire, foreign):
    """The kernel allows no XDP below an interface that has a program; tc is used instead."""
    name, *rest = [wire.RIGHT if word == "WATCHED" else word for word in upper]
    wire.right.ip("link", "add", name, *rest)
    if name == "bridge0":
        wire.right.ip("link", "set", "dev", wire.RIGHT, "master", name)
    assert check(wire.RIGHT).exit_code == WORKS
    wire.right.ip("link", "set", "dev", name, "xdpgeneric", "obj", foreign, "sec", "xdp")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert found["XDP is free"][0] == "no" and found["XDP is free"][1].endswith(f"generic) on {name}")
    attached = run_agent("attach", wire.RIGHT, "--duration", "1ms", prefix=wire.right.inside())
    assert attached.exit_code == 0 and f"attached to {wire.RIGHT} in tc mode" in attached.stderr


@pytest.mark.needs("clang")
def test_a_foreign_xdp_program_does_not_matter_where_tc_is_used(check, wire, foreign):
    wire.right.ip("tuntap", "add", "tun0", "mode", "tun")
    wire.right.ip("link", "set", "dev", "tun0", "xdpgeneric", "obj", foreign, "sec", "xdp")
    found = check("tun0")
    assert (found.exit_code, found["XDP is free"][0]) == (WORKS, "no")


def test_a_running_agent_is_named(check, wire, watch):
    agent = watch(wire)
    found = check(wire.RIGHT)
    assert found.exit_code == FAILS
    assert re.fullmatch(r"'tcpwin_xdp' \(id \d+, native\): another agent", found["XDP is free"][1])
    assert "stop the other agent, or use --mode tc" in found.verdict
    assert agent.stop().exit_code == 0
    assert check(wire.RIGHT).exit_code == WORKS


@pytest.mark.needs("clang", "tc")
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_tc_program_left_by_an_agent_is_reported(direction, check, wire, foreign):
    run("tc", "-n", wire.right.name, "qdisc", "add", "dev", wire.RIGHT, "clsact")
    add_filter = ["tc", "-n", wire.right.name, "filter", "add", "dev", wire.RIGHT, direction, "bpf", "da", "obj", foreign]
    run(*add_filter, "sec", "tc")
    assert check(wire.RIGHT)["no agent at tc"] == ("yes", "1 of other software")
    run(*add_filter, "sec", "tc_tcpwin")
    found = check(wire.RIGHT)
    assert found.exit_code == WORKS
    assert re.fullmatch(rf"'tcpwin_small' \(id \d+, {direction}\)", found["no agent at tc"][1])
    assert found["no agent at tc"][0] == "no"


@pytest.mark.needs("bpftool", "tc")
def test_check_leaves_nothing_attached_or_loaded(check, wire):
    check(wire.RIGHT)
    assert wire.right.xdp_programs(wire.RIGHT) == []
    assert "clsact" not in run("tc", "-n", wire.right.name, "qdisc", "show", "dev", wire.RIGHT).stdout
    net, = json.loads(run(*wire.right.inside("bpftool", "-j", "net")).stdout)
    assert (net["xdp"], net["tc"]) == ([], [])
    loaded = json.loads(run("bpftool", "-j", "prog").stdout)
    assert [program for program in loaded if program.get("name") == "tcpwin_trial"] == []


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("filesystem, answer", [("bpf", "yes"), ("tmpfs", "no")])
def test_persistent_needs_a_bpffs(filesystem, answer, check):
    mounted = ["unshare", "--mount", "sh", "-c", f'mount -t {filesystem} none /sys/fs/bpf && exec "$@"', "sh"]
    found = check(prefix=mounted)
    assert found.exit_code == WORKS
    assert found["bpffs"][0] == answer and "--persistent" in found["bpffs"][1]


def test_a_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "check"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert done.stderr == "tcpwin-agent: error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["lo", "eth0"], [""], ["--nonsense"]])
def test_wrong_usage_is_refused(arguments):
    outcome = run_agent("check", *arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    sentence, = outcome.errors
    assert "see tcpwin-agent check --help" in sentence
