# SPDX-License-Identifier: Apache-2.0
"""Packets that are missing in a capture turn no good segment into an ignored one."""
import random
import struct

import pytest

from agent import run_agent, sides
from captures import DIRECTORY
from network import run

# Captures whose endpoints break the rules nowhere.
CAPTURES = sorted(path for path in DIRECTORY.iterdir() if path.suffix in (".pcap", ".pcapng"))

root = pytest.mark.needs_root


class Capture:
    """The frames of a capture, as a classic pcap file"""

    def __init__(self, path, directory):
        file = directory / "whole.pcap"
        run("editcap", "-F", "pcap", path, file)
        content = file.read_bytes()
        self.header, self.frames, offset = content[:24], [], 24
        order = "<" if content[0] in (0xd4, 0x4d) else ">"
        while offset < len(content):
            captured, = struct.unpack_from(f"{order}I", content, offset + 8)
            self.frames.append(content[offset:offset + 16 + captured])
            offset += 16 + captured

    def write(self, path, frames):
        path.write_bytes(self.header + b"".join(frames))
        return path


def dropped(share):
    def keep(frames, rng):
        return [frame for frame in frames if rng.random() >= share]
    return keep


def bursts(frames, rng):
    """Bursts of 50 frames are missing, a tenth of all."""
    kept = []
    position = 0
    while position < len(frames):
        length = rng.randint(1, 900)
        kept += frames[position:position + length]
        position += length + 50
    return kept


def one_direction(frames, _):
    """Frames from the higher Ethernet address, or, where there is one address, the higher IP address"""
    return [frame for frame in frames if frame[16 + 6:16 + 12] > frame[16:16 + 6]]


def mid_stream(frames, rng):
    return frames[rng.randint(0, len(frames)):]


WAYS = {"5 percent": dropped(0.05), "20 percent": dropped(0.2), "50 percent": dropped(0.5), "bursts": bursts,
        "one direction": one_direction, "mid-stream": mid_stream, "whole": lambda frames, _: frames}
SEEDS = range(4)


def ignored(capture, engine="portable"):
    outcome = run_agent("replay", "-q", "--engine", engine, "--profile", "monitor", capture)
    assert outcome.exit_code == 0, outcome.stderr
    return sum(side["tcp"]["ignored_segments"] for side in sides(r for r in outcome.records if r["event"] == "flow"))


@pytest.mark.needs("editcap")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_missing_packets(path, way, tmp_path):
    capture = Capture(path, tmp_path)
    whole = ignored(path)
    for seed in SEEDS:
        kept = WAYS[way](capture.frames, random.Random(seed))
        assert ignored(capture.write(tmp_path / "some.pcap", kept)) <= whole, f"seed {seed}"
        if way in ("whole", "one direction"):
            break


@root
@pytest.mark.needs("editcap")
@pytest.mark.parametrize("path", [path for path in CAPTURES if path.stem in ("http_206", "ethereum")], ids=lambda path: path.stem)
def test_missing_packets_in_the_kernel_engine(path, tmp_path):
    capture = Capture(path, tmp_path)
    some = capture.write(tmp_path / "some.pcap", dropped(0.2)(capture.frames, random.Random(1)))
    assert ignored(some, "kernel") == ignored(some)


# (capture, numbers of the frames that were captured): the last segments are beyond what was captured, and nothing settles
# whether they were good.
GAPS = [
    ("field/synack_window0_then_update.pcap", [2, 3, 10]),
    ("field/plain_stall.pcap", [2, 3, 4, 8, 9, 11, 12, 13, 17, 18, 19, 29]),
    ("semantics/30_port_reuse.pcap", [2, 5, 8]),
    ("field/port_reused_in_a_stall.pcap", [1, 2, 3, 4, 5, 7, 9, 10, 11, 14, 15, 17, 20]),
    ("field/port_reused_in_a_stall.pcap", [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21]),
]


@pytest.mark.needs("editcap")
@pytest.mark.parametrize("name, kept", GAPS)
def test_gaps_that_nothing_settles(name, kept, tmp_path):
    capture = Capture(DIRECTORY / name, tmp_path)
    assert ignored(capture.write(tmp_path / "some.pcap", [capture.frames[number - 1] for number in kept])) == 0
