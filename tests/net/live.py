# SPDX-License-Identifier: Apache-2.0
"""Sends millions of live frames into the watched end of a wire, by tests/support/live_frames_main.cpp."""
import json
import os
import re

from agent import REPOSITORY
from network import run, wait_until

SENDER = os.environ.get("TCPWIN_LIVE_FRAMES", str(REPOSITORY / "build" / "tests" / "live_frames_sender"))


def send_live(wire, *options, timeout=300):
    """Returns the number of packets sent. The agent must be attached in native mode."""
    done = run(*wire.left.inside(SENDER, "--device", wire.LEFT, *options), timeout=timeout)
    return json.loads(done.stdout)["sent"]


def _sum(namespace, device, pattern):
    text = run(*namespace.inside("ethtool", "-S", device)).stdout
    return sum(int(value) for value in re.findall(rf"{pattern}: (\d+)", text))


def entered(wire):
    """(frames that the driver handed to the XDP program, frames that found its queue full)

    The driver counts a frame in xdp_packets when it runs the program, so lost frames are not included.
    """
    return (_sum(wire.right, wire.RIGHT, r"rx_queue_\d+_xdp_packets"),
            _sum(wire.left, wire.LEFT, r"tx_queue_\d+_xdp_xmit_errors"))


def wait_arrived(wire, sent):
    """Waits until every frame sent was seen or lost; returns the number of seen frames."""
    assert wait_until(lambda: sum(entered(wire)) == sent), f"{sent} sent, {entered(wire)} seen and lost"
    return entered(wire)[0]
