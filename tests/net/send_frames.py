# SPDX-License-Identifier: Apache-2.0
"""Sends frames into the device given as argument. A line of standard input is a frame in hex or "sleep SECONDS"."""
import socket
import sys
import time


def main():
    device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    device.bind((sys.argv[1], 0))
    for step in sys.stdin.read().split("\n"):
        if step.startswith("sleep "):
            time.sleep(float(step.split()[1]))
        elif step:
            device.send(bytes.fromhex(step))


main()
