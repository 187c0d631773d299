#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs the scenarios on Debian kernels in emulated machines. Needs no root.

The environment variable TCPWIN_AGENT names the agent. Exit codes: 0 all passed, 1 something failed, 77 nothing ran
(for instance without network or qemu; the reason is printed).
"""
import argparse
import os
import pathlib
import platform
import shutil
import signal
import sys
import time

import initramfs
import machine
import package

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = pathlib.Path(__file__).resolve().parent / "scenarios"
AGENT = os.environ.get("TCPWIN_AGENT", str(REPOSITORY / "build" / "tcpwin-agent"))
PROGRAMS = ("qemu-system-x86_64", "busybox", "dpkg-deb", "ldd", "strip", *initramfs.TOOLS)
SKIPPED = 77


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", default=["6.1"],
                        help=f"one or more of {', '.join(package.SUITES)} (default: 6.1)")
    parser.add_argument("--cache", type=pathlib.Path, default=REPOSITORY / "build" / "kernels",
                        help="directory for packages and file systems (default: build/kernels)")
    parser.add_argument("--scenario", action="append", type=pathlib.Path, metavar="FILE",
                        help="run only this scenario; repeatable (default: all in tests/kernels/scenarios)")
    arguments = parser.parse_args()
    if unknown := set(arguments.kernels) - set(package.SUITES):
        parser.error(f"no such kernel: {', '.join(sorted(unknown))}")
    return arguments


def check_machine():
    if platform.machine() != "x86_64":
        raise package.Unavailable(f"the emulated machines are x86_64, the agent is built for {platform.machine()}")
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        raise package.Unavailable(f"not installed: {', '.join(missing)}")


def run_on(kernel, scenarios, cache):
    """The verdicts of all scenarios on this kernel"""
    check_machine()
    image = package.kernel_image(kernel, cache)
    vmlinuz, = (image / "boot").glob("vmlinuz-*")
    directory = cache / kernel
    archive = initramfs.build(image, AGENT, scenarios, directory)
    print(f"{vmlinuz.name.removeprefix('vmlinuz-')}:", flush=True)
    console, killed = machine.boot(vmlinuz, archive, directory / "console.log", len(scenarios))
    return list(machine.verdicts(console, [scenario.stem for scenario in scenarios], killed))


def show(verdicts, seconds):
    for verdict in verdicts:
        print(f"  {'FAILED' if verdict.failure else 'PASSED'} {verdict.name}")
        if verdict.failure:
            print(f"    {verdict.failure}")
            sys.stdout.writelines(f"    | {line}\n" for line in verdict.text.splitlines())
    failed = sum(bool(verdict.failure) for verdict in verdicts)
    print(f"  {len(verdicts) - failed} passed, {failed} failed, in {seconds:.0f} s", flush=True)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # on SIGTERM, qemu is stopped, too
    arguments = parse_arguments()
    if not os.access(AGENT, os.X_OK):
        sys.exit(f"no agent at {AGENT}: build it, or name it in TCPWIN_AGENT")
    scenarios = sorted(arguments.scenario or SCENARIOS.glob("*.sh"))
    verdicts = []
    for kernel in arguments.kernels:
        begin = time.monotonic()
        try:
            ran = run_on(kernel, scenarios, arguments.cache.resolve())
        except package.Unavailable as reason:
            print(f"kernel {kernel}: SKIPPED: {reason}", flush=True)
            continue
        show(ran, time.monotonic() - begin)
        verdicts += ran
    if not verdicts:
        return SKIPPED
    return int(any(verdict.failure for verdict in verdicts))


sys.exit(main())
