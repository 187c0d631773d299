# SPDX-License-Identifier: Apache-2.0
"""--help, --version and wrong options: no root and no network needed."""
import re

import pytest

from agent import run_agent
from captures import DIRECTORY

# (arguments, words that the error sentence must contain)
WRONG = [
    ([], ["command", "--help"]),
    (["watch", "lo"], ["'watch'"]),
    (["attach"], ["IFACE"]),
    (["attach", "lo", "--nonsense"], ["there is no option --nonsense"]),
    (["attach", "lo", "--timeout-es", "5s"], ["there is no option --timeout-es (did you mean --timeout-est?)"]),
    (["replay", "x", "--ouput=y"], ["there is no option --ouput (did you mean --output?)"]),
    (["check", "eth0", "eth1"], ["'eth1' is one argument too many"]),
    (["replay", "-", "-"], ["standard input (-) is named twice"]),
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


@pytest.mark.parametrize("command", ["attach", "replay", "status", "flows", "top", "set", "explain", "detach", "check"])
def test_descriptions_fit_into_100_columns(command):
    """Examples, which can be copied, and the paragraphs at the end may be longer."""
    options = run_agent(command, "--help").stdout.split("Examples:")[0]
    assert [line for line in options.splitlines() if len(line) > 100 and line.startswith("    ")] == []


@pytest.mark.parametrize("option", ["--output", "--packets", "--config"])
def test_no_input_is_emptied(option, tmp_path):
    """Under another name of the file, too."""
    capture, link = tmp_path / "capture.pcap", tmp_path / "link"
    capture.write_bytes((DIRECTORY / "tutorial" / "tutorial.pcap").read_bytes())
    link.hardlink_to(capture)
    settings = tmp_path / "settings.toml"
    settings.write_text('profile = "monitor"\n')
    words = ("--config", settings, "--output", settings) if option == "--config" else (option, link)
    before = capture.read_bytes(), settings.read_bytes()
    outcome = run_agent("replay", capture, *words)
    sentence, = outcome.errors
    assert outcome.exit_code == 2 and "would be emptied before it is read" in sentence
    assert (capture.read_bytes(), settings.read_bytes()) == before


def test_explain_says_what_a_file_without_flows_has(tmp_path):
    file = tmp_path / "events"
    for event, words in ("alarm", "(alarm), but no flow records; flow records are written when flows end"), \
            ("packet", "(packet), but no flow records; use the file of --output, not that of --packets"):
        file.write_text(f'{{"schema":1, "event":"{event}"}}\n')
        outcome = run_agent("explain", file)
        assert outcome.exit_code == 1 and words in outcome.errors[0]


def test_a_missing_bpffs_is_not_nothing_attached(tmp_path):
    outcome = run_agent("status", "--bpffs", tmp_path / "nowhere")
    assert outcome.exit_code in (1, 77) and outcome.stdout == ""
    if outcome.exit_code == 1:  # as root
        assert "nowhere: No such file or directory" in outcome.errors[0]
