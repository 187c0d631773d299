# SPDX-License-Identifier: Apache-2.0
"""BPF programs that do not belong to the agent."""
from network import run

LICENSE = 'char terms[] __attribute__((section("license"), used)) = "GPL";\n'
# The names of the last two begin as those of the agent's programs do.
FOREIGN = """
__attribute__((section("xdp"), used)) int foreign_xdp(void *ctx) { return 2; }
__attribute__((section("tc"), used)) int foreign_tc(void *ctx) { return -1; }
__attribute__((section("xdp_tcpwin"), used)) int tcpwin_tiny(void *ctx) { return 2; }
__attribute__((section("tc_tcpwin"), used)) int tcpwin_small(void *ctx) { return -1; }
"""


def compile_bpf(directory, source):
    """Compiles C source to a BPF object file and returns its path."""
    source_file, compiled = directory / "program.c", directory / "program.o"
    source_file.write_text(source + LICENSE)
    run("clang", "-target", "bpf", "-O2", "-g", "-c", source_file, "-o", compiled)
    return compiled
