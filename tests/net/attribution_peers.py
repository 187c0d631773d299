# SPDX-License-Identifier: Apache-2.0
"""A program that owns sockets: `attribution_peers.py listen|connect|fork ADDRESS`, controlled by lines on standard input.

listen and fork accept one connection and do not read it; connect sends until it can send no more. It prints "listening"
or "connected", and, when a connection is there, the process IDs that hold it, then waits: a line "rwnd" prints what
TCP_INFO says of the time that the peer's window held it up; end of input ends it. fork has two children that hold the
connection, too.
"""
import os
import socket
import sys

from topology import Counted

PORT = 9000
TIMEOUT = 120


def accept(address):
    listener = socket.create_server((address, PORT))
    listener.settimeout(TIMEOUT)
    print("listening", flush=True)
    return listener.accept()[0]


def connect(address):
    connection = socket.create_connection((address, PORT), timeout=TIMEOUT)
    print("connected", flush=True)
    connection.setblocking(False)
    try:
        while True:
            connection.send(bytes(65536))
    except BlockingIOError:
        connection.setblocking(True)
    return connection


def main(role, address):
    connection = connect(address) if role == "connect" else accept(address)
    children = []
    hold_read, hold_write = os.pipe()
    for _ in range(2 if role == "fork" else 0):
        child = os.fork()
        if not child:
            os.close(hold_write)
            os.read(hold_read, 1)  # until the parent exits
            os._exit(0)
        children.append(child)
    print(*sorted([os.getpid(), *children]), flush=True)
    for line in sys.stdin:
        if line == "rwnd\n":
            print(Counted(connection).rwnd_limited / 1e6, flush=True)


main(*sys.argv[1:])
