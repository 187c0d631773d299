# SPDX-License-Identifier: Apache-2.0
"""limits_reader.py ADDRESS BUFFER AMOUNT PAUSE SLEEP: accepts one connection and reads it to its end.

SO_RCVBUF is BUFFER (0: the default). Reads AMOUNT bytes after each PAUSE; sleeps SLEEP seconds once, after a megabyte.
"""
import socket
import sys
import time

address, buffer, amount, pause, sleep = sys.argv[1], *map(int, sys.argv[2:4]), *map(float, sys.argv[4:6])
listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if buffer:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
listener.bind((address, 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
connected, _ = listener.accept()
got = 0
while data := connected.recv(amount):
    got += len(data)
    if sleep and got > 1_000_000:
        time.sleep(sleep)
        sleep = 0.0
    time.sleep(pause)
