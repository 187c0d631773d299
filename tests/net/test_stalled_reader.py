# SPDX-License-Identifier: Apache-2.0
"""A real TCP connection whose reader stops reading, watched at the sender's end."""
import signal

import pytest

from agent import sides
from captures import tshark_fields
from leftovers import LONG
from network import TIMEOUT, wait_until
from stalled import ADDRESSES, READER, WRITER, stall

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tshark", "dumpcap")]

AMOUNT = 400_000  # bytes, see tcp_peers.py


def capture_reader(processes, wire, path, log):
    """Captures what the reader sends, at the device that the agent watches: the incoming packets."""
    command = ["dumpcap", "-q", "-i", wire.RIGHT, "-f", f"tcp and src host {READER}", "-w", path]
    with open(log, "wb") as out:
        dumpcap = processes(wire.right.inside(*command), stdout=out, stderr=out)
    assert wait_until(lambda: "File: " in log.read_text()), log.read_text()
    return dumpcap


def end_of_reader(path):
    return tshark_fields(path, f"ip.src == {READER} && tcp.flags.fin == 1", ["frame.number"])


def assert_stalled(stalled, zero_windows):
    """The reader slept for 1.5 s; the writer sent probes after 0.2, 0.6 and 1.4 s."""
    assert stalled["zero_window_segments"] == zero_windows
    assert stalled["episodes"] >= 1
    assert 1.0 < stalled["longest"] <= stalled["total"] < 5.0
    assert (stalled["open"], stalled["last_ended"]) == (False, "resumed")
    assert stalled["probes"] >= 2
    assert 1 <= stalled["probe_answers"] <= stalled["probes"], "Linux answers at most twice per second"


def scales(path, reader, writer):
    """The window scales: the reader's by tshark, from its SYN-ACK; the writer's SYN was not captured."""
    (offered,), *_ = tshark_fields(path, f"ip.src == {READER} && tcp.flags.syn == 1", ["tcp.options.wscale.shift"])
    assert writer["window"]["scale"] in range(15)
    return int(offered), writer["window"]["scale"]


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_the_stall_of_a_reader_is_measured(mode, make_wire, watch, processes, tmp_path):
    wire = make_wire(ADDRESSES)
    path = tmp_path / "reader.pcapng"
    agent = watch(wire, "--mode", mode, *LONG)
    dumpcap = capture_reader(processes, wire, path, tmp_path / "dumpcap.log")
    stall(processes, wire)
    # dumpcap writes with a delay: wait for the end of the connection in the file.
    assert wait_until(lambda: end_of_reader(path), interval=0.5)
    dumpcap.send_signal(signal.SIGINT)
    dumpcap.wait(TIMEOUT)
    outcome = agent.stop()

    windows = [int(window) for window, in tshark_fields(path, f"ip.src == {READER}", ["tcp.window_size_value"])]
    reader, = [side for side in sides(outcome.records) if side["ip"] == READER]
    assert outcome.exit_code == 0
    assert len(outcome.records) == 1
    assert reader["zero_window_count"] == windows.count(0) > 0
    assert reader["packets"] == len(windows)
    assert (reader["window_min"], reader["window_max"], reader["window_last"]) == (0, max(windows), windows[-1])
    assert int(reader["stat"], 16) & 0xc0 == 0x80, "below the threshold, but not aborted"

    record, = outcome.records
    writer, = [side for side in sides(outcome.records) if side["ip"] == WRITER]
    assert_stalled(reader["stall"], zero_windows=windows.count(0))
    assert writer["stall"]["episodes"] == writer["stall"]["zero_window_segments"] == 0
    assert writer["stall"]["probes"] == 0
    assert record["continues"] is None

    # The whole connection was seen, so everything is known.
    assert (reader["window"]["scale"], writer["window"]["scale"]) == scales(path, reader, writer)
    assert reader["window"]["min"] == 0 < reader["window"]["max"] <= max(windows) << reader["window"]["scale"]
    assert writer["tcp"]["payload_bytes"] >= AMOUNT and reader["tcp"]["payload_bytes"] == 0
    assert 0 < writer["tcp"]["bytes_in_flight_max"] <= reader["window"]["max"]
    assert reader["window"]["full"] > 0 == reader["window"]["shrinks"]
    assert all(0 < side["tcp"]["handshake_rtt"] < 1 for side in (reader, writer))
