# SPDX-License-Identifier: Apache-2.0
"""Forwards frames between two devices, with delay, loss and limited rate: netem is not in every kernel.

relay.py DEVICE DEVICE DELAY LOSS RATE: seconds, share, and bits per second (0: not limited). The delay is that of each
way. Frames keep their offloads: PACKET_VNET_HDR (packet(7)).
"""
import collections
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 15, 23, 33
QUEUE = 1000  # frames

devices, (delay, loss, rate) = sys.argv[1:3], map(float, sys.argv[3:6])
chance = random.Random(1)


class Way:
    def __init__(self, source, target):
        self.source, self.target = source, target
        self.frames, self.free_at = collections.deque(), 0.0

    def receive(self):
        try:
            while True:
                frame = self.source.recv(1 << 17)
                segments = max(1, len(frame) // 1500)
                if len(self.frames) < QUEUE and chance.random() >= 1 - (1 - loss) ** segments:
                    start = max(time.monotonic(), self.free_at)
                    self.free_at = start + (len(frame) * 8 / rate if rate else 0)
                    self.frames.append((self.free_at + delay, frame))
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


left, right = map(open_device, devices)
ways = [Way(left, right), Way(right, left)]
print("relaying", flush=True)
while True:
    due = min(way.send() for way in ways)
    select.select([left, right], [], [], max(0.0, min(due - time.monotonic(), 1.0)))
    for way in ways:
        way.receive()
