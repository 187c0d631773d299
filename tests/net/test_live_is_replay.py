# SPDX-License-Identifier: Apache-2.0
"""A capture gives the same records, except for times, live through a veth at its recorded speed and by `replay`."""
import csv

import pytest

from agent import run_agent, without_times
from captures import DIRECTORY, replay

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tcpreplay")]

# Captures whose records do not change if every timeout is 15 % shorter or 30 % longer, so a delayed replay does no harm.
ROBUST = ["vlan_bot.pcap", "ipv4_fragmented_syn.pcap"]


def by_number(records):
    """Without the interface and the hooks, and without the end reason: a timeout or the agent's end may end the last flow."""
    kept = [without_times(record, "in_iface", "hooks", "end_reason") for record in records]
    return sorted(kept, key=lambda record: record["flow_id"])


def packet_rows(text):
    aside = ("time", "pktIAT", "flowDuration")
    return [{name: value for name, value in row.items() if name not in aside}
            for row in csv.DictReader(text.splitlines(), delimiter="\t")]


@pytest.mark.parametrize("name", ROBUST)
def test_live_and_replay_give_the_same_flow_records(wire, watch, name):
    agent = watch(wire)
    replay(wire, name, speed="--multiplier=1")
    live = agent.stop()
    from_file = run_agent("replay", DIRECTORY / name)
    records = from_file.records
    assert len(records) > 0
    assert by_number(live.records) == by_number(records)


@pytest.mark.parametrize("name", ROBUST)
def test_live_and_replay_give_the_same_packet_records(wire, watch, tmp_path, name):
    live, file = tmp_path / "live", tmp_path / "file"
    agent = watch(wire, "--format", "t2", "--packets", live)
    replay(wire, name, speed="--multiplier=1")
    assert agent.stop().exit_code == 0
    assert run_agent("replay", DIRECTORY / name, "--format", "t2", "--packets", file).exit_code == 0
    rows = packet_rows(live.read_text())
    assert len(rows) > 0
    assert rows == packet_rows(file.read_text())


def test_a_later_fragment_is_counted_in_its_flow(wire, watch):
    agent = watch(wire)
    replay(wire, "ipv4_fragmented_syn.pcap", speed="--multiplier=1")
    record, = agent.stop().records
    assert (record["a"]["packets"], record["a"]["tcp_flags"], record["b"]) == (2, ["SYN"], None)
