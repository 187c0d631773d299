# SPDX-License-Identifier: Apache-2.0
"""Prints the IDs of the TCX programs on a device of this network namespace: Debian 12's bpftool does not know TCX."""
import ctypes
import os
import socket
import struct
import sys

BPF_PROG_QUERY, INGRESS, EGRESS = 16, 46, 47
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]

for attach_type in INGRESS, EGRESS:
    ids = (ctypes.c_uint32 * 64)()
    # union bpf_attr, query: ifindex, attach type, two flag words, address of the IDs, their number
    attributes = ctypes.create_string_buffer(struct.pack("=IIIIQI", socket.if_nametoindex(sys.argv[1]), attach_type, 0, 0,
                                                         ctypes.addressof(ids), len(ids)), 64)
    if ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_PROG_QUERY, attributes, len(attributes)) != 0:
        sys.exit(f"bpf: {os.strerror(ctypes.get_errno())}")
    print(*[number for number in ids if number])
