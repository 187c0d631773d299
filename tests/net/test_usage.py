# SPDX-License-Identifier: Apache-2.0
"""--help, --version and wrong options: no root and no network needed."""
import re

import pytest

from agent import run_agent

COMMANDS = ["attach", "replay", "flows", "top", "status", "set", "detach", "explain", "check"]

# (arguments, words that the error sentence must contain)
WRONG = [
    ([], ["command", "--help"]),
    (["watch", "lo"], ["'watch'"]),
    (["attach"], ["IFACE"]),
    (["attach", "lo", "--nonsense"], ["unknown option --nonsense; see tcpwin-agent attach --help"]),
    (["replay", "x", "--timeout-es", "5s"], ["unknown option --timeout-es; did you mean --timeout-est? See"]),
    (["replay", "--ouput=x"], ["unknown option --ouput; did you mean --output? See tcpwin-agent replay --help"]),
    (["explain", "x", "y"], ["unexpected argument 'y'"]),
    (["--versoin"], ["unknown option --versoin; did you mean --version? See tcpwin-agent --help"]),
    (["detatch"], ["there is no command 'detatch'; did you mean detach?"]),
    (["replay", "-", "x", "-"], ["standard input", "only once"]),
    (["attach", "lo", "--timeout-est", "5parsecs"], ["--timeout-est", "5parsecs", "parsecs"]),
    (["attach", "lo", "--timeout-est", "10"], ["--timeout-est", "'10'", "unit"]),
    (["attach", "lo", "--timeout-est", "0s"], ["--timeout-est", "'0s'"]),
    (["attach", "lo", "--timeout-est", "-1s"], ["--timeout-est", "'-1s'"]),
    (["attach", "lo", "--timeout-est", ""], ["--timeout-est", "empty"]),
    (["attach", "lo", "--timeout-est"], ["--timeout-est"]),
    (["attach", "lo", "--timeout-new", "1e9s"], ["--timeout-new", "1e9s"]),
    (["attach", "lo", "--timeout-bgn", "200years"], ["--timeout-bgn", "200years"]),
    (["attach", "lo", "--timeout-abrt", "1 fortnight"], ["--timeout-abrt", "fortnight"]),
    (["attach", "lo", "--duration", "soon"], ["--duration", "soon"]),
    (["attach", "lo", "--poll-interval", "0s"], ["--poll-interval", "'0s'"]),
    (["attach", "lo", "--poll-interval", "10us"], ["--poll-interval", "1ms"]),
    (["attach", "lo", "--stats-interval", "10ms"], ["--stats-interval", "100ms"]),
    (["attach", "lo", "--stats-interval", "10s", "--format", "t2"], ["--stats-interval", "--format", "t2", "json"]),
    (["attach", "lo", "--max-flows", "0"], ["--max-flows", "0"]),
    (["attach", "lo", "--max-flows", "-5"], ["--max-flows", "-5"]),
    (["attach", "lo", "--max-flows", "many"], ["--max-flows", "many"]),
    (["attach", "lo", "--max-flows", "99999999999999999999"], ["--max-flows", "99999999999999999999"]),
    (["attach", "lo", "--abort-count", "0"], ["--abort-count", "0"]),
    (["attach", "lo", "--win-threshold", "70000"], ["--win-threshold", "70000"]),
    (["attach", "lo", "--mode", "foo"], ["--mode", "foo", "native", "generic"]),
    (["attach", "lo", "--format", "xml"], ["--format", "xml", "json", "t2"]),
    (["flows", "--sort", "size"], ["--sort", "size", "stalled", "zero-windows"]),
    (["flows", "--limit", "0"], ["--limit", "0"]),
    (["top", "--sort", "size"], ["--sort", "size", "stalled"]),
    (["top", "--interval", "1ms"], ["--interval", "100ms"]),
    (["attach", "lo", "--quiet", "--verbose"], ["--quiet", "--verbose"]),
]


@pytest.mark.parametrize("arguments, words", WRONG, ids=[" ".join(arguments) or "nothing" for arguments, _ in WRONG])
def test_wrong_usage_is_one_sentence_that_names_the_mistake(arguments, words):
    outcome = run_agent(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines() == outcome.errors
    sentence, = outcome.errors
    assert [word for word in words if word not in sentence] == [], sentence


@pytest.mark.parametrize("arguments", [["--help"], ["attach", "--help"], ["attach", "-h"]])
def test_help_has_examples(arguments):
    outcome = run_agent(*arguments)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert "example" in outcome.stdout.lower()
    assert "tcpwin-agent attach eth0" in outcome.stdout


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda words: "".join(words) or "none")
def test_help_fits_100_columns(command):
    lines = run_agent(*command, "--help").stdout.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if len(line) > 100] == []


def test_help_lists_every_option_with_its_default():
    text = run_agent("attach", "--help").stdout
    for option, default in {"--mode": "auto", "--output": "-", "--format": "json", "--poll-interval": "100ms",
                            "--max-flows": "262144", "--win-threshold": "1", "--abort-count": "2", "--timeout-new": "10s",
                            "--timeout-bgn": "2.2s", "--timeout-est": "1s", "--timeout-abrt": "1ms"}.items():
        line, = [line for line in text.splitlines() if re.match(rf"\s+(-\w,)?{option}\b", line)]
        after = line.split(option, 1)[1].split("  ")[0] + line
        assert default in after, line
    assert all(option in text for option in ("--duration", "--quiet", "--verbose", "--help"))


def test_version_is_printed():
    outcome = run_agent("--version")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert re.fullmatch(r"tcpwin-agent \d+\.\d+\.\d+\n", outcome.stdout)


@pytest.mark.needs_root
def test_status_names_a_bpffs_that_does_not_exist(tmp_path):
    missing = tmp_path / "missing"
    for directory, why in ((missing, "No such file or directory"), (tmp_path, "it is not a bpffs")):
        outcome = run_agent("status", "--bpffs", directory)
        assert (outcome.exit_code, outcome.stdout) == (1, "")
        sentence, = outcome.errors
        assert f"cannot use {directory}: {why}" in sentence
