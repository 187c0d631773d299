# SPDX-License-Identifier: Apache-2.0
"""Profile monitor: a flow is a connection. Real connections of one pair of ports, one after the other."""
import subprocess
import sys

import pytest

from network import TIMEOUT, wait_until
from stalled import ADDRESSES, READER

pytestmark = pytest.mark.needs_root

CONNECTIONS = 5

# Accepts, reads to the end or the reset, and closes; prints a line when it listens.
ACCEPT = """
import socket, sys
listener = socket.create_server((sys.argv[1], 9000))
print("listening", flush=True)
for _ in range(int(sys.argv[2])):
    connection, _ = listener.accept()
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    connection.close()
"""

# From the same port each time. SO_LINGER with 0 s: close sends a RST, and the port is free at once.
CONNECT = """
import socket, struct, sys
for _ in range(int(sys.argv[2])):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.bind(("", 41000))
    client.connect((sys.argv[1], 9000))
    client.sendall(bytes(1000))
    if sys.argv[3] == "fin":
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
    client.close()
"""

# Sends without end after the peer's FIN, until the peer resets the connection.
SEND_ON = """
import socket, sys
listener = socket.create_server((sys.argv[1], 9000))
print("listening", flush=True)
connection, _ = listener.accept()
connection.settimeout(60)
while connection.recv(65536):
    pass
try:
    for _ in range(10000):
        connection.sendall(bytes(10000))
except (ConnectionResetError, BrokenPipeError):
    pass
"""


@pytest.fixture
def connect(processes):
    """connect(wire, count, how, server=ACCEPT): connects that often; both ends have ended."""
    def connect(wire, count, how, server=ACCEPT):
        listening = processes(wire.left.inside(sys.executable, "-c", server, READER, count), stdout=subprocess.PIPE)
        assert listening.stdout.readline() == "listening\n"
        client = processes(wire.right.inside(sys.executable, "-c", CONNECT, READER, count, how))
        assert client.wait(TIMEOUT) == 0
        assert listening.wait(TIMEOUT) == 0
    return connect


def flows(outcome):
    assert outcome.exit_code == 0, outcome.stderr
    return sorted((record for record in outcome.records if record["event"] == "flow"), key=lambda record: record["flow_id"])


def test_connections_of_the_same_ports_are_flows(make_wire, watch, connect):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--profile", "monitor")
    connect(wire, CONNECTIONS, "rst")
    records = flows(agent.stop())
    assert [record["end_reason"] for record in records[:-1]] == ["new_connection"] * (CONNECTIONS - 1)
    assert [record["continues"] for record in records] == [None] * CONNECTIONS
    for record in records:
        assert (record["a"]["port"], record["b"]["port"]) == (41000, 9000)
        assert record["a"]["tcp"]["payload_bytes"] == 1000
        assert record["a"]["tcp"]["handshake_rtt"] is not None, "it has its own handshake"


def test_without_the_setting_they_are_one_flow(make_wire, watch, connect):
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--profile", "monitor", "--split-connections", "no")
    connect(wire, CONNECTIONS, "rst")
    record, = flows(agent.stop())
    assert record["a"]["tcp"]["payload_bytes"] == CONNECTIONS * 1000


def test_reset_after_fin_ends_the_flow(make_wire, watch, connect):
    """A client that closes during a download: FIN, then RST. The flow ends by --timeout-fin, not by --timeout-est."""
    wire = make_wire(ADDRESSES)
    agent = watch(wire, "--profile", "monitor", "--timeout-fin", "500ms")
    connect(wire, 1, "fin", SEND_ON)
    assert wait_until(lambda: "fin_timeout" in agent.out.read_text()), "the flow goes on"
    record, = flows(agent.stop())
    assert record["end_reason"] == "fin_timeout"
    assert {"FIN", "RST"} <= set(record["a"]["tcp_flags"])
    assert "FIN" not in record["b"]["tcp_flags"]
