# SPDX-License-Identifier: Apache-2.0
"""A real TCP connection whose reader stops reading, watched at the sender's end."""
import signal
import subprocess
import sys
import pathlib

import pytest

from agent import sides
from captures import tshark_fields
from network import wait_until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs("tshark", "dumpcap")]

READER, WRITER = "10.2.0.1", "10.2.0.2"
AMOUNT = 400_000  # bytes, see tcp_peers.py
PEERS = pathlib.Path(__file__).with_name("tcp_peers.py")
# One flow, however long the pauses between the sender's probes are.
ONE_FLOW = ("--timeout-new", "60s", "--timeout-bgn", "60s", "--timeout-est", "60s", "--timeout-abrt", "60s",
            "--abort-count", "1000000")


def capture_reader(processes, wire, path, log):
    """Captures at the agent's own device what the reader sends: the incoming packets."""
    command = ["dumpcap", "-q", "-i", wire.RIGHT, "-f", f"tcp and src host {READER}", "-w", path]
    with open(log, "wb") as out:
        dumpcap = processes(wire.right.inside(*command), stdout=out, stderr=out)
    assert wait_until(lambda: "File: " in log.read_text()), log.read_text()
    return dumpcap


def end_of_reader(path):
    return tshark_fields(path, f"ip.src == {READER} && tcp.flags.fin == 1", ["frame.number"])


def stall(processes, wire):
    """The reader (left) accepts and sleeps; the writer (right) sends until all is read."""
    reader = processes(wire.left.inside(sys.executable, PEERS, "read", READER), stdout=subprocess.PIPE)
    assert reader.stdout.readline() == "listening\n"
    writer = processes(wire.right.inside(sys.executable, PEERS, "write", READER))
    assert writer.wait(60) == 0
    assert reader.wait(60) == 0


def assert_stalled(stall, zero_windows):
    """The reader slept for 1.5 s; the writer's probes came after 0.2, 0.6 and 1.4 s."""
    assert stall["zero_window_segments"] == zero_windows
    assert stall["episodes"] >= 1
    assert 1.0 < stall["longest"] <= stall["total"] < 5.0
    assert (stall["open"], stall["last_ended"]) == (False, "resumed")
    assert stall["probes"] >= 2
    assert 1 <= stall["probe_answers"] <= stall["probes"], "Linux answers twice a second at most"


def scales(path, reader, writer):
    """What the reader's SYN-ACK offers, as tshark has it; the writer's was not captured, but both have the same kernel."""
    (offered,), *_ = tshark_fields(path, f"ip.src == {READER} && tcp.flags.syn == 1", ["tcp.options.wscale.shift"])
    assert writer["window"]["scale"] in range(15)
    return int(offered), writer["window"]["scale"]


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_zero_windows_of_a_stalled_reader(mode, make_wire, watch, processes, tmp_path):
    wire = make_wire((f"{READER}/24", f"{WRITER}/24"))
    path = tmp_path / "reader.pcapng"
    agent = watch(wire, "--mode", mode, *ONE_FLOW)
    dumpcap = capture_reader(processes, wire, path, tmp_path / "dumpcap.log")
    stall(processes, wire)
    # dumpcap writes with a delay: the end of the connection must be in the file.
    assert wait_until(lambda: end_of_reader(path), timeout=20, interval=0.5)
    dumpcap.send_signal(signal.SIGINT)
    dumpcap.wait(20)
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

    # Of a whole connection everything is known.
    assert (reader["window"]["scale"], writer["window"]["scale"]) == scales(path, reader, writer)
    assert reader["window"]["min"] == 0 < reader["window"]["max"] <= max(windows) << reader["window"]["scale"]
    assert writer["tcp"]["payload_bytes"] >= AMOUNT and reader["tcp"]["payload_bytes"] == 0
    assert 0 < writer["tcp"]["bytes_in_flight_max"] <= reader["window"]["max"]
    assert reader["window"]["full"] > 0 == reader["window"]["shrinks"]
    assert all(0 < side["tcp"]["handshake_rtt"] < 1 for side in (reader, writer))
