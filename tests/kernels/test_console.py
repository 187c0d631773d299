# SPDX-License-Identifier: Apache-2.0
"""The verdict on a scenario, from console output: it passed only if it printed PASS, ended, and the kernel did not panic."""
import pytest

from machine import verdicts


def failure(console, killed=False):
    verdict, = verdicts(console, ["one"], killed)
    return verdict.failure


def test_a_scenario_that_prints_pass_and_ends_has_passed():
    assert failure("boot\n=== RUN one\ntext\nPASS one\n=== END one\n") == ""


@pytest.mark.parametrize("console, why", [
    ("=== RUN one\nFAIL one: 2 instead of 3\n=== END one\n", "2 instead of 3"),
    ("=== RUN one\nPASS one\nFAIL one: later\n=== END one\n", "later"),
    ("=== RUN one\n=== END one\n", "it ended or timed out without a verdict"),
    ("=== RUN one\nPASS other\n=== END one\n", "it ended or timed out without a verdict"),
    ("=== RUN other\nPASS one\n=== END other\n", "it never ran"),
    ("=== RUN one\nPASS one\n", "the machine stopped during it"),
    ("=== RUN one\nPASS one\n[ 1.0] Kernel panic - not syncing: BUG\n", "Kernel panic - not syncing: BUG"),
    ("", "it never ran"),
])
def test_the_reason_of_a_failure_is_given(console, why):
    assert failure(console) == why


def test_a_machine_that_had_to_be_killed_has_hung():
    assert failure("=== RUN one\nPASS one\n", killed=True) == "the machine hung"


def test_a_verdict_has_only_the_output_of_its_scenario():
    console = "=== RUN one\nPASS one\n=== END one\n=== RUN two\nFAIL two: why\n=== END two\n"
    one, two = verdicts(console, ["one", "two"], killed=False)
    assert (one.failure, one.text, two.failure, two.text) == ("", "PASS one\n", "why", "FAIL two: why\n")


def test_a_machine_that_did_not_boot_shows_its_console():
    verdict, = verdicts("panic at boot\n", ["one"], killed=False)
    assert verdict.text == "panic at boot\n"
