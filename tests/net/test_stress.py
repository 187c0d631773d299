# SPDX-License-Identifier: Apache-2.0
"""The agent under stress: a full table, a stopped agent, killed agents."""
import concurrent.futures
import json
import re
import signal
import time

import pytest

from agent import BINARY
from leftovers import LONG
from live import send_live, wait_arrived
from network import run
from terminal import Terminal

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("ethtool", "prlimit")]

# The eight packets of a flow, of either side in turn, come in a burst, and again after the bursts of all other flows.
MANY_FLOWS = ("--flows", "100000", "--burst", "8", "--side", "both")
ROUND = 800_000
KILLED = 3_000_000
SHORT = ("--timeout-new", "100ms", "--timeout-bgn", "100ms", "--timeout-est", "100ms")


def packets_in_records(outcome):
    """Reads line by line: there are hundreds of thousands of records."""
    return sum(side["packets"] for line in outcome.stdout.splitlines()
               for record in [json.loads(line)] for side in (record["a"], record["b"]) if side)


def check_accounts(outcome, entered):
    """Every packet that entered the program is in a record or counted as lost. Returns the counters of lost packets."""
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert outcome.report["packets seen"] == outcome.report["tcp packets"] == entered
    lost = outcome.packets_elsewhere()
    assert packets_in_records(outcome) + sum(lost.values()) == entered
    assert outcome.report["flows"] == len(outcome.stdout.splitlines())
    return lost


def watch_many_flows(wire, watch, *options):
    start = time.monotonic()
    agent = watch(wire, "--mode", "native", "--direction", "ingress", *SHORT, *options)
    entered = wait_arrived(wire, send_live(wire, *MANY_FLOWS, "--packets", 2 * ROUND))
    outcome = agent.stop()
    return outcome, check_accounts(outcome, entered), time.monotonic() - start


def sufficient_size(outcome):
    return int(re.search(r"--max-flows (\d+) would have been enough", outcome.stderr)[1])


def test_a_full_table_counts_every_packet_and_recommends_a_sufficient_size(make_wire, watch):
    """100,000 flows with a table of 1,000, then with a table of the recommended size."""
    outcome, lost, seconds = watch_many_flows(make_wire(), watch, "--max-flows", "1000", "--poll-interval", "1h")
    warnings = outcome.stderr.count("the flow table is full (1000 entries)")
    reasons = [json.loads(line)["end_reason"] for line in outcome.stdout.splitlines()]
    size = sufficient_size(outcome)

    assert set(lost) == {"lost untracked_full"}
    assert 1 <= warnings <= 1 + seconds, "at most one per second"
    assert len(reasons) > 1000, "no early sweep made room: the regular one is an hour away"
    assert reasons.count("shutdown") <= 1000
    assert outcome.report["largest number of flows in the table"] <= 1001
    assert size == 131072, "for 100,000 flows, not for 1.6 million packets"

    outcome, lost, _ = watch_many_flows(make_wire(), watch, "--max-flows", size)
    assert lost == {}
    assert outcome.report["flows"] >= 100_000
    assert "would have been enough" not in outcome.stderr


def test_a_stopped_agent_loses_no_flow(wire, watch):
    """While it is stopped, more flows expire than the ring buffer of 16 MiB can hold (70,000 records)."""
    agent = watch(wire, "--mode", "native", "--direction", "ingress", "--timeout-new", "1ms", "--timeout-bgn", "1ms",
                  "--timeout-est", "1ms")
    sent = send_live(wire, "--flows", "20000", "--packets", 100_000)
    agent.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    sent += send_live(wire, "--flows", "20000", "--packets", 300_000)
    time.sleep(max(0, start + 1 - time.monotonic()))
    agent.process.send_signal(signal.SIGCONT)
    sent += send_live(wire, "--flows", "20000", "--packets", 100_000)
    entered = wait_arrived(wire, sent)
    outcome = agent.stop()

    assert check_accounts(outcome, entered) == {}
    assert outcome.report["deferred cuts"] > 0
    assert outcome.report["flows"] > 70_000 + 20_000, "the deferred cuts were not made up for"


def test_no_packet_is_lost_if_agents_are_killed_under_load(wire, persistent):
    """Flows end all the time. Each packet is in one record, whichever agent wrote it."""
    options = ("--mode", "native", "--direction", "ingress", *SHORT, "--timeout-abrt", "1ms", "--poll-interval", "5ms")
    agent = persistent.attach(wire.right, wire.RIGHT, options=options)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sending = pool.submit(send_live, wire, "--flows", "300", "--burst", "64", "--stalls", "--packets", KILLED)
        killed = 0
        while not sending.done() or killed < 3:
            time.sleep(0.1)
            agent.kill()
            killed += 1
            agent = persistent.attach(wire.right, wire.RIGHT, options=options)
    entered = wait_arrived(wire, sending.result())
    assert agent.stop().exit_code == 0
    last = persistent.detach(wire.right)

    lost = sum(last.packets_elsewhere().values())
    ids = [record["flow_id"] for record in persistent.records()]
    assert last.report["packets seen"] == last.report["tcp packets"] == entered
    assert persistent.packets() + lost == entered
    assert len(ids) == len(set(ids)) > 300


def test_the_live_view_of_a_million_flows(make_wire, watch):
    wire = make_wire()
    watch(wire, "--mode", "native", "--direction", "ingress", "--max-flows", "1200000", *LONG)
    seen = wait_arrived(wire, send_live(wire, "--flows", "1000000", "--packets", "1000000"))
    assert seen > 900_000, "the queue was not full all the time"
    def limited(megabytes, *command):
        return wire.right.inside("prlimit", f"--data={megabytes << 20}", BINARY, *command)

    flows = run(*limited(64, "flows", "--json", "--limit", "5"))
    assert flows.stdout.count('"live_flow"') == 5
    failed = run(*limited(64, "flows"), check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "tcpwin-agent: error: there is not enough memory (ulimit, cgroup or machine)\n"
    top = Terminal(limited(450, "top"), columns=200)
    try:
        top.wait_for(lambda lines: re.search(r": (\S+) flows, 0 stalled now", lines[0]) and len(lines[20].split()) > 10)
        top.press(b"q")
        assert top.wait_end() == 0
    finally:
        top.close()
