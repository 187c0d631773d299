# SPDX-License-Identifier: Apache-2.0
"""TCX on a device of this network namespace; Debian 12's bpftool does not know it.

`tcx.py query DEVICE` prints the IDs of the incoming programs on one line, of the outgoing on the next, in the order in
which they run. `tcx.py attach DEVICE PATH before|after` attaches a pinned program in both directions, before or after the
others; it stays after this process has ended.
"""
import ctypes
import os
import socket
import struct
import sys

BPF_OBJ_GET, BPF_PROG_ATTACH, BPF_PROG_QUERY = 7, 8, 16
DIRECTIONS = INGRESS, EGRESS = 46, 47
FLAGS = {"before": 1 << 3, "after": 1 << 4}
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 64)
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        sys.exit(f"bpf: {os.strerror(ctypes.get_errno())}")
    return result


def query(ifindex, direction):
    ids = (ctypes.c_uint32 * 64)()
    # union bpf_attr, query: ifindex, attach type, two flag words, address of the IDs, their number
    bpf(BPF_PROG_QUERY, struct.pack("=IIIIQI", ifindex, direction, 0, 0, ctypes.addressof(ids), len(ids)))
    return [number for number in ids if number]


def attach(ifindex, path, where):
    name = ctypes.create_string_buffer(path.encode())
    program = bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))
    for direction in DIRECTIONS:
        # union bpf_attr, attach: ifindex, program, attach type, flags
        bpf(BPF_PROG_ATTACH, struct.pack("=IIII", ifindex, program, direction, FLAGS[where]))


if __name__ == "__main__":
    index = socket.if_nametoindex(sys.argv[2])
    if sys.argv[1] == "attach":
        attach(index, *sys.argv[3:])
    else:
        for way in DIRECTIONS:
            print(*query(index, way))
