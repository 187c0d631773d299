# SPDX-License-Identifier: Apache-2.0
"""Hand-made TCP packets, sent into a veth at chosen times."""
import dataclasses
import ipaddress
import pathlib
import struct
import sys

from network import run

FLAGS = {"FIN": 0x01, "SYN": 0x02, "RST": 0x04, "PSH": 0x08, "ACK": 0x10}
SENDER = pathlib.Path(__file__).with_name("send_frames.py")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    ip: str
    port: int


CLIENT = Endpoint("10.1.0.1", 40000)
SERVER = Endpoint("10.1.0.2", 80)


def tcp_frame(source, destination, flags="ACK", window=1000, payload=b"", *, sequence=1, ack=1, options=b"", ident=0):
    """Ethernet, IPv4 and TCP headers. Checksums stay 0: the agent never reads them. flags: names, or their bits"""
    bits = sum(FLAGS[flag] for flag in flags.split("+")) if isinstance(flags, str) else flags
    tcp = struct.pack("!HHIIBBHHH", source.port, destination.port, sequence, ack, 5 + len(options) // 4 << 4, bits, window,
                      0, 0) + options
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), ident, 0, 64, 6, 0,
                     ipaddress.ip_address(source.ip).packed, ipaddress.ip_address(destination.ip).packed)
    ethernet = bytes.fromhex("020000000002" "020000000001" "0800")
    return ethernet + ip + tcp + payload


def from_client(flags="ACK", window=1000):
    return tcp_frame(CLIENT, SERVER, flags, window)


def from_server(flags="ACK", window=1000):
    return tcp_frame(SERVER, CLIENT, flags, window)


def send_from(namespace, device, *steps):
    """Runs the steps in order, in one process: sends frames (bytes), pauses (seconds). Pauses may last longer."""
    lines = [step.hex() if isinstance(step, bytes) else f"sleep {step}" for step in steps]
    run(*namespace.inside(sys.executable, SENDER, device), input="\n".join(lines))


def send(wire, *steps):
    send_from(wire.left, wire.LEFT, *steps)
