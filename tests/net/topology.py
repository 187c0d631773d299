# SPDX-License-Identifier: Apache-2.0
"""Hosts, a router, a bridge, and TCP connections between them whose counters the kernel keeps.

All sockets belong to this process, each in the network namespace where it was created. So both ends of a connection can
be queried at any time and stay open until the agent has ended: agent and sockets count the same packets.
"""
import ctypes
import os
import socket
import struct
import threading

from network import TIMEOUT, Namespace, run, wait_until

CLONE_NEWNET = 0x40000000
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
PREFIX_LENGTH = {4: 24, 6: 64}
OFFLOADS = ("tso", "gso", "gro")
TIMESTAMPS_HEADER = 32  # TCP header with the timestamps option, of every segment but the SYN
SYN_HEADER = 40         # MSS, timestamps, window scale
IP_HEADER = {4: 20, 6: 40}
ETHERNET_HEADER = 14

# No SACK blocks: all segment headers have the same length. No tail loss probes: a loaded machine retransmits nothing.
PLAIN_TCP = "cd /proc/sys/net/ipv4; echo 0 > tcp_sack; echo 0 > tcp_dsack; echo 0 > tcp_early_retrans; echo 1 > tcp_timestamps"
FORWARD = "cd /proc/sys/net; echo 1 > ipv4/ip_forward; echo 1 > ipv6/conf/all/forwarding"

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _mac(number):
    return f"02:00:00:00:00:{number:02x}"


class Host(Namespace):
    """A namespace whose TCP sends only what its connections need."""

    def __init__(self):
        super().__init__()
        self.silence()
        run(*self.inside("sh", "-c", PLAIN_TCP))

    def socket(self, *kind):
        """A socket of this process in this namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(there)
            try:
                made = socket.socket(*kind)
            finally:
                _enter(home)
        finally:
            os.close(there)
            os.close(home)
        return made

    def forward(self):
        run(*self.inside("sh", "-c", FORWARD))

    def address(self, device, address, version):
        if version == 6:
            run(*self.inside("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{device}/disable_ipv6"))
        self.ip("address", "add", f"{address}/{PREFIX_LENGTH[version]}", "dev", device,
                *(["nodad"] if version == 6 else []))

    def neighbour(self, device, address, mac):
        self.ip("neighbour", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")

    def offload(self, device, on):
        run(*self.inside("ethtool", "-K", device, *(word for name in OFFLOADS for word in (name, "on" if on else "off"))))

    def counters(self, device):
        """((packets, bytes) received, (packets, bytes) sent), by the counters of the device"""
        stats = self.link(device)["stats64"]
        return tuple((stats[way]["packets"], stats[way]["bytes"]) for way in ("rx", "tx"))


def connect_devices(left, left_device, right, right_device, number, offload):
    """A veth pair without ARP: neighbour entries are static."""
    left.ip("link", "add", "name", left_device, "address", _mac(number), "type", "veth",
            "peer", "name", right_device, "address", _mac(number + 1), "netns", right.name)
    for host, device in ((left, left_device), (right, right_device)):
        host.set_up(device)
        host.offload(device, offload)
    return _mac(number), _mac(number + 1)


class Topology:
    """Two hosts, `client` and `server`. The server has `address[version]`."""

    def __init__(self):
        self.hosts, self.sockets = [], []

    def _host(self):
        self.hosts.append(Host())
        return self.hosts[-1]

    def pair(self, offload=True):
        """client c0 -- s0 server"""
        self.client, self.server = self._host(), self._host()
        client_mac, server_mac = connect_devices(self.client, "c0", self.server, "s0", 1, offload)
        self.address = {4: "10.3.0.2", 6: "fd03::2"}
        self._same_network("c0", client_mac, "s0", server_mac)
        return self

    def _same_network(self, client_device, client_mac, server_device, server_mac):
        for version, (client, server) in {4: ("10.3.0.1", "10.3.0.2"), 6: ("fd03::1", "fd03::2")}.items():
            self.client.address(client_device, client, version)
            self.server.address(server_device, server, version)
            self.client.neighbour(client_device, server, server_mac)
            self.server.neighbour(server_device, client, client_mac)

    def routed(self, offload=True):
        """client c0 -- r0 router r1 -- s0 server"""
        self.client, self.router, self.server = self._host(), self._host(), self._host()
        self.router.forward()
        self.address = {4: "10.3.2.1", 6: "fd03:2::1"}
        for number, (host, device) in enumerate(((self.client, "c0"), (self.server, "s0"))):
            mac, router_mac = connect_devices(host, device, self.router, f"r{number}", 1 + 2 * number, offload)
            for version, net in {4: f"10.3.{number + 1}.", 6: f"fd03:{number + 1}::"}.items():
                host.address(device, f"{net}1", version)
                self.router.address(f"r{number}", f"{net}9", version)
                host.neighbour(device, f"{net}9", router_mac)
                self.router.neighbour(f"r{number}", f"{net}1", mac)
                host.ip(f"-{version}", "route", "add", "default", "via", f"{net}9", "dev", device)
        return self

    def relayed(self, offload=True):
        """client c0 -- r0 (m0 -- m1) r1 -- s0 server; relay.py connects r0 with m0, and m1 with r1"""
        self.client, self.router, self.server = self._host(), self._host(), self._host()
        self.address = {4: "10.3.0.2", 6: "fd03::2"}
        client_mac, _ = connect_devices(self.client, "c0", self.router, "r0", 1, offload)
        server_mac, _ = connect_devices(self.server, "s0", self.router, "r1", 3, offload)
        self.router.add_pair("m0", "m1")
        for device in ("m0", "m1"):
            self.router.offload(device, offload)
        self._same_network("c0", client_mac, "s0", server_mac)
        return self

    def bridged(self, offload=True):
        """client c0 -- p0 [bridge br0] p1 -- s0 server; the bridge has an address, too"""
        self.client, self.bridge, self.server = self._host(), self._host(), self._host()
        self.bridge.ip("link", "add", "name", "br0", "address", _mac(9), "type", "bridge", "mcast_snooping", "0")
        self.bridge.set_up("br0")
        self.address = {4: "10.3.0.2", 6: "fd03::2"}
        client_mac, _ = connect_devices(self.client, "c0", self.bridge, "p0", 1, offload)
        server_mac, _ = connect_devices(self.server, "s0", self.bridge, "p1", 3, offload)
        for port in ("p0", "p1"):
            self.bridge.ip("link", "set", "dev", port, "master", "br0")
        self._same_network("c0", client_mac, "s0", server_mac)
        self.bridge_address = "10.3.0.9"
        self.bridge.address("br0", self.bridge_address, 4)
        self.bridge.neighbour("br0", "10.3.0.1", client_mac)
        self.client.neighbour("c0", self.bridge_address, _mac(9))
        return self

    def alone(self):
        """One host, which talks to itself over its loopback."""
        self.client = self.server = self._host()
        self.client.ip("link", "set", "dev", "lo", "up")
        self.address = {4: "127.0.0.1"}
        return self

    def connect(self, version, *, server=None, address=None, receive_buffer=None):
        """A new Connection, established."""
        listener = self._socket(server or self.server, version)
        if receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address or self.address[version], 0))
        listener.listen()
        client = self._socket(self.client, version)
        client.connect(listener.getsockname()[:2])
        accepted, _ = listener.accept()
        accepted.settimeout(TIMEOUT)
        self.sockets.append(accepted)
        return Connection(client, accepted, version)

    def _socket(self, host, version):
        made = host.socket(FAMILIES[version], socket.SOCK_STREAM)
        made.settimeout(TIMEOUT)
        self.sockets.append(made)
        return made

    def packet_socket(self, host, device):
        """A packet socket that sees both directions of the device."""
        made = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        made.bind((device, 0x0003))
        made.setblocking(False)
        self.sockets.append(made)
        return made

    def delete(self):
        for one in self.sockets:
            one.close()
        for host in self.hosts:
            host.delete()


class Counted:
    """The fields of struct tcp_info (linux/tcp.h) that the tests use."""

    FIELDS = {"mss": ("I", 16), "unacked": ("I", 24), "cwnd": ("I", 80), "busy_time": ("Q", 168),
              "rwnd_limited": ("Q", 176), "segs_out": ("I", 136), "segs_in": ("I", 140), "notsent": ("I", 144),
              "bytes_received": ("Q", 128), "bytes_sent": ("Q", 200), "bytes_retrans": ("Q", 208), "snd_wnd": ("I", 228)}

    def __init__(self, connected):
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        for name, (kind, offset) in self.FIELDS.items():
            setattr(self, name, struct.unpack_from(f"={kind}", info, offset)[0])


class Connection:
    def __init__(self, client, server, version):
        self.client, self.server, self.version = client, server, version

    def endpoint(self, side):
        return getattr(self, side).getsockname()[:2]

    def transfer(self, upstream, downstream):
        """Sends these numbers of bytes in both directions at the same time, and reads all of them."""
        work = [threading.Thread(target=move) for move in (
            lambda: self.client.sendall(bytes(upstream)), lambda: self.server.sendall(bytes(downstream)),
            lambda: _read(self.server, upstream), lambda: _read(self.client, downstream))]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join(2 * TIMEOUT)
        assert self.is_quiet_within(TIMEOUT), "packets are still in flight"

    def counted(self):
        return Counted(self.client), Counted(self.server)

    def is_quiet(self):
        """Whether nothing is in flight. No segs_out counts the SYN+ACK: it is sent before its socket exists."""
        client, server = self.counted()
        return (client.unacked + client.notsent + server.unacked + server.notsent == 0 and
                client.segs_out == server.segs_in and server.segs_out + 1 == client.segs_in)

    def is_quiet_within(self, seconds):
        return wait_until(self.is_quiet, seconds)

    def sent(self, side):
        """(packets, payload bytes) that the side sent, by the counters of its socket"""
        counted = Counted(getattr(self, side))
        return counted.segs_out + (side == "server"), counted.bytes_sent

    def on_the_wire(self, side):
        """(packets, bytes), IP and TCP headers included"""
        packets, payload = self.sent(side)
        return packets, payload + headers(self.version, packets)


def _read(connected, amount):
    while amount > 0:
        data = connected.recv(65536)
        assert data, "the connection was closed early"
        amount -= len(data)


def headers(version, packets):
    """Bytes of the IP and TCP headers of `packets` packets, the first of which is a SYN or SYN+ACK."""
    return packets * (IP_HEADER[version] + TIMESTAMPS_HEADER) + SYN_HEADER - TIMESTAMPS_HEADER
