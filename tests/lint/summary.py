#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up JUnit files of ctest and of lint: failed tests, what was skipped and why, and the sum on the last line.

usage: summary.py FILE...     exit code 1 if a test failed or a FILE has no results
"""

import re
import sys
from xml.etree import ElementTree

SKIPPED = re.compile(r"^(?:SKIPPED |.*: SKIPPED: )")  # one line of pytest -rs, or of tests/kernels/run.py
GTEST_SKIPPED = re.compile(r"^\S+:\d+: Skipped$")  # the reason is on the next line


def read(name: str) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.parse(name).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def verdict(case: ElementTree.Element) -> str:
    # ctest has "notrun" also for tests whose fixture failed, or whose program is missing.
    skipped = case.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith(("SKIP_", "Skipped")):
        return "skipped"
    return "passed" if case.get("status") == "run" else "failed"


def reasons(case: ElementTree.Element) -> list[str]:
    """Why the test, or parts of it, were skipped: a test of pytest has many parts."""
    lines = (case.findtext("system-out") or "").splitlines()
    found = [line for line in lines if SKIPPED.match(line)]
    found += [after for line, after in zip(lines, lines[1:]) if GTEST_SKIPPED.match(line)]
    return found or (["no reason given"] if verdict(case) == "skipped" else [])


def main() -> int:
    cases_of = {name: read(name) for name in sys.argv[1:]}
    missing = [name for name, cases in cases_of.items() if not cases]
    cases = [case for found in cases_of.values() for case in found]
    verdicts = [verdict(case) for case in cases]
    for case, outcome in zip(cases, verdicts):
        if outcome == "failed":
            print(f"FAILED: {case.get('name')}")
        for reason in dict.fromkeys(reasons(case)):
            print(f"SKIPPED: {case.get('name')}: {reason.removeprefix('SKIPPED ')}")
    for name in missing:
        print(f"FAILED: no results in {name}")
    counts = {outcome: verdicts.count(outcome) for outcome in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if missing or counts["failed"] else 0


sys.exit(main())
