# SPDX-License-Identifier: Apache-2.0
"""BPF programs that do not belong to the agent."""
import json
import sys

from network import TCX, run

LICENSE = 'char terms[] __attribute__((section("license"), used)) = "GPL";\n'
# The names of the last two begin as those of the agent's programs do.
FOREIGN = """
__attribute__((section("xdp"), used)) int foreign_xdp(void *ctx) { return 2; }
__attribute__((section("tc"), used)) int foreign_tc(void *ctx) { return -1; }
__attribute__((section("xdp_tcpwin"), used)) int tcpwin_tiny(void *ctx) { return 2; }
__attribute__((section("tc_tcpwin"), used)) int tcpwin_small(void *ctx) { return -1; }
"""
# TC_ACT_OK: the programs behind it do not see the packet. Cilium's return it, too.
ACCEPTING = '__attribute__((section("tc"), used)) int accepting(void *ctx) { return 0; }\n'


def compile_bpf(directory, source):
    """Compiles C source to a BPF object file and returns its path."""
    source_file, compiled = directory / "program.c", directory / "program.o"
    source_file.write_text(source + LICENSE)
    run("clang", "-target", "bpf", "-O2", "-g", "-c", source_file, "-o", compiled)
    return compiled


def accept_by_tcx(wire, bpffs, directory, where="after"):
    """Attaches `accepting` to the watched end by TCX, in both directions, before or after the other programs."""
    pinned = bpffs / "accepting"
    run("bpftool", "prog", "load", compile_bpf(directory, ACCEPTING), pinned, "type", "classifier")
    run(*wire.right.inside(sys.executable, TCX, "attach", wire.RIGHT, pinned, where))


def tcx_names(wire):
    """[names of the ingress programs, names of the egress programs] of the watched end, in the order in which they run"""
    shown = run(*wire.right.inside(sys.executable, TCX, "query", wire.RIGHT)).stdout.splitlines()
    return [[json.loads(run("bpftool", "-j", "prog", "show", "id", number).stdout)["name"] for number in line.split()]
            for line in shown]
