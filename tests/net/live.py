# SPDX-License-Identifier: Apache-2.0
"""Live frames by the million into a wire's watched end: tests/support/live_frames_main.cpp."""
import json
import os
import re

from agent import REPOSITORY
from network import run, wait_until

SENDER = os.environ.get("TCPWIN_LIVE_FRAMES", str(REPOSITORY / "build" / "tests" / "live_frames_sender"))


def send_live(wire, *options, timeout=300):
    """Packets that were sent; the agent has to be attached in native mode."""
    done = run(*wire.left.inside(SENDER, "--device", wire.LEFT, *options), timeout=timeout)
    return json.loads(done.stdout)["sent"]


def _sum(namespace, device, pattern):
    text = run(*namespace.inside("ethtool", "-S", device)).stdout
    return sum(int(value) for value in re.findall(rf"{pattern}: (\d+)", text))


def entered(wire):
    """Frames that the driver handed to the XDP program, and frames that found its queue full.

    The driver counts a frame as xdp_packets when it runs the program, so a frame lost on the way is not among them.
    """
    return (_sum(wire.right, wire.RIGHT, r"rx_queue_\d+_xdp_packets"),
            _sum(wire.left, wire.LEFT, r"tx_queue_\d+_xdp_xmit_errors"))


def wait_arrived(wire, sent):
    """All that was sent was seen or lost; returns how many were seen."""
    assert wait_until(lambda: sum(entered(wire)) == sent, timeout=20), f"{sent} sent, {entered(wire)} seen and lost"
    return entered(wire)[0]
