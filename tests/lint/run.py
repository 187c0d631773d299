#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every tracked file without running the code. Prints a line per part that passes, and the findings of the others.

usage: run.py BUILD JUNIT     BUILD has compile_commands.json and the skeleton, JUNIT is written
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
Outcome = tuple[bool, str]  # passed, and what to print


def tracked(*patterns: str) -> list[str]:
    # Root may check what another user cloned.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and (TOP / name).is_file()]


def run(*command: str) -> Outcome:
    ran = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ran.returncode == 0, ran.stdout.strip()


def clang_format() -> Outcome:
    files = tracked("*.c", "*.h", "*.cpp", "*.hpp")
    passed, said = run("clang-format-19", "--dry-run", "--Werror", "--style=file", *files)
    wrong = sorted({line.split(":")[0] for line in said.splitlines() if "-Wclang-format-violations" in line})
    if passed:
        return True, f"{len(files)} files are formatted"
    return False, "\n".join(wrong or [said]) + "\nmake fmt formats them"


def clang_tidy(build: Path) -> Outcome:
    database = json.loads((build / "compile_commands.json").read_text())
    files = sorted(entry["file"] for entry in database if Path(entry["file"]).is_relative_to(TOP / "user"))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        outcomes = list(pool.map(lambda file: run("clang-tidy-19", "-p", str(build), "--quiet", file), files))
    # A header is read with every file that includes it; each of its findings is shown once.
    findings = dict.fromkeys(said for passed, said in outcomes if not passed)
    return (False, "\n".join(findings)) if findings else (True, f"{len(files)} files have no findings")


def shellcheck() -> Outcome:
    scripts = tracked("*.sh", ".ci/run", "tests/kernels/guest/init")
    passed, said = run("shellcheck", *scripts)
    return passed, said or f"{len(scripts)} scripts have no findings"


def pyflakes() -> Outcome:
    files = tracked("*.py")
    passed, said = run("/usr/bin/python3", "-m", "pyflakes", *files)
    return passed, said or f"{len(files)} files have no findings"


def write_junit(path: str, outcomes: dict[str, tuple[Outcome, float]]) -> None:
    suite = ElementTree.Element("testsuite", name="lint")
    for name, ((passed, said), seconds) in outcomes.items():
        case = ElementTree.SubElement(suite, "testcase", name=f"lint.{name}", status="run" if passed else "fail")
        case.set("time", f"{seconds:.1f}")
        ElementTree.SubElement(case, "system-out").text = said
        if not passed:
            ElementTree.SubElement(case, "failure")
    ElementTree.ElementTree(suite).write(path)


def main() -> int:
    build, junit = Path(sys.argv[1]).resolve(), sys.argv[2]
    parts: dict[str, Callable[[], Outcome]] = {
        "clang-format": clang_format,
        "clang-tidy": lambda: clang_tidy(build),
        "shellcheck": shellcheck,
        "pyflakes": pyflakes,
        "licences": lambda: run("/usr/bin/python3", "-B", str(HERE / "licences.py")),
        "floors": lambda: run("/usr/bin/python3", "-B", str(HERE / "floors.py")),
    }
    outcomes = {}
    for name, check in parts.items():
        begin = time.monotonic()
        outcomes[name] = check(), time.monotonic() - begin
        passed, said = outcomes[name][0]
        print(f"lint.{name}: {said}" if passed else f"lint.{name}: FAILED\n{said}", flush=True)
    write_junit(junit, outcomes)
    return 0 if all(passed for (passed, _), _ in outcomes.values()) else 1


sys.exit(main())
