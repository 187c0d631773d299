# SPDX-License-Identifier: Apache-2.0
"""Forwards frames between devices, with delay, loss and limited rate: netem is not in every kernel.

relay.py DELAY LOSS RATE DEVICE DEVICE [DEVICE DEVICE]: seconds, share, bits per second (0: not limited); pairs of devices.
DELAY is that of one way through all pairs. LOSS and RATE apply to the first pair; its queue holds a tenth of a second.
Frames keep their offloads: PACKET_VNET_HDR (packet(7)).
"""
import collections
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 15, 23, 33
QUEUE = 0.1  # seconds

delay, loss, rate = map(float, sys.argv[1:4])
pairs = list(zip(sys.argv[4::2], sys.argv[5::2], strict=True))
chance = random.Random(1)


class Way:
    def __init__(self, source, target, loss, rate):
        self.source, self.target, self.loss, self.rate = source, target, loss, rate
        self.frames, self.free_at = collections.deque(), 0.0

    def receive(self):
        try:
            while True:
                frame = self.source.recv(1 << 17)
                now, segments = time.monotonic(), max(1, len(frame) // 1500)
                if self.free_at < now + QUEUE and chance.random() < (1 - self.loss) ** segments:
                    self.free_at = max(now, self.free_at) + (len(frame) * 8 / self.rate if self.rate else 0)
                    self.frames.append((self.free_at + delay / len(pairs), frame))
        except BlockingIOError:
            pass

    def send(self):
        """Returns when the next frame is due."""
        while self.frames and self.frames[0][0] <= time.monotonic():
            frame = self.frames.popleft()[1]
            try:
                self.target.send(frame)
            except OSError:
                pass  # the queue of the device is full: a loss
        return self.frames[0][0] if self.frames else float("inf")


def open_device(name):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    made.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    made.bind((name, 0x0003))
    made.setblocking(False)
    return made


ways = []
for number, pair in enumerate(pairs):
    left, right = map(open_device, pair)
    spoiled = (loss, rate) if number == 0 else (0, 0)
    ways += [Way(left, right, *spoiled), Way(right, left, *spoiled)]
print("relaying", flush=True)
while True:
    due = min(way.send() for way in ways)
    select.select([way.source for way in ways], [], [], max(0.0, min(due - time.monotonic(), 1.0)))
    for way in ways:
        way.receive()
