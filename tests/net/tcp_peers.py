# SPDX-License-Identifier: Apache-2.0
"""Either end of a connection whose reader stalls: `tcp_peers.py read|write ADDRESS [SECONDS]`."""
import socket
import sys
import time

PORT = 9000
SMALL_BUFFER = 4096
STALL = 1.5  # seconds; the writer's probes come after 0.2, 0.6 and 1.4 s
AMOUNT = 400_000  # bytes: far more than the buffers of both ends hold
TIMEOUT = 120


def read(address, stall=None):
    """With a time, the receive buffer keeps its default size, so that the window closes only once, for about that time."""
    listener = socket.socket()
    if stall is None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    listener.bind((address, PORT))
    listener.listen()
    listener.settimeout(TIMEOUT)
    print("listening", flush=True)
    connection, _ = listener.accept()
    connection.settimeout(TIMEOUT)
    begin = time.monotonic()
    time.sleep(float(stall or STALL))
    print("slept", time.monotonic() - begin, flush=True)
    got = 0
    while data := connection.recv(65536):
        got += len(data)
    return got


def write(address):
    connection = socket.create_connection((address, PORT), timeout=TIMEOUT)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    connection.sendall(bytes(AMOUNT))
    connection.close()
    return AMOUNT


sys.exit({"read": read, "write": write}[sys.argv[1]](*sys.argv[2:]) != AMOUNT)
