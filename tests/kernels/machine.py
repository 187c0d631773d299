# SPDX-License-Identifier: Apache-2.0
"""Boots an emulated machine once, which runs every scenario, and reads the results from its console."""
import dataclasses
import re
import subprocess

BOOT_LIMIT = 600  # seconds; a boot takes about 4
SCENARIO_LIMIT = 620  # a bit more than guest/init allows

# Software emulation, so that the same machine runs everywhere; a CPU with few vector instructions, which are slow to emulate.
# cx16=off: with it, 6.12 panics at boot.
QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem,cx16=off", "-m", "1024", "-display", "none", "-monitor", "none",
        "-no-reboot", "-nic", "none")
# A kernel warning fails the current scenario.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 oops=panic panic_on_warn=1 mitigations=off"


@dataclasses.dataclass
class Verdict:
    name: str
    failure: str  # empty: passed
    text: str  # the console output of the scenario


def boot(kernel, initramfs, console, scenarios):
    """Runs the machine until it powers off. Returns the console output, and whether it had to be killed."""
    limit = BOOT_LIMIT + SCENARIO_LIMIT * scenarios
    command = [*QEMU, "-kernel", kernel, "-initrd", initramfs, "-append", COMMAND_LINE, "-serial", f"file:{console}"]
    console.unlink(missing_ok=True)
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=limit, check=True)
        killed = False
    except subprocess.TimeoutExpired:
        killed = True
    return console.read_text(errors="replace").replace("\r", ""), killed


def section(console, name):
    """(console output from the start of the scenario, whether it ended); None if it never started"""
    found = re.search(rf"^=== RUN {re.escape(name)}\n(.*?)(?:^=== END {re.escape(name)}$|\Z)", console, re.DOTALL | re.MULTILINE)
    return found and (found[1], found[0].endswith(f"=== END {name}"))


def failure_of(name, text, ended, killed):
    if reported := re.search(rf"^FAIL {re.escape(name)}: (.*)$", text, re.MULTILINE):
        return reported[1]
    if panic := re.search(r"Kernel panic.*", text):
        return panic[0]
    if not ended:
        return "the machine hung" if killed else "the machine stopped during it"
    return "" if re.search(rf"^PASS {re.escape(name)}$", text, re.MULTILINE) else "it ended or timed out without a verdict"


def verdicts(console, names, killed):
    """One verdict per scenario. It passed only if it printed PASS, ended, and the kernel did not panic."""
    for name in names:
        if found := section(console, name):
            text, ended = found
            yield Verdict(name, failure_of(name, text, ended, killed), text)
        else:
            yield Verdict(name, "it never ran", "" if "=== RUN" in console else console)
