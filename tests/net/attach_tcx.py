# SPDX-License-Identifier: Apache-2.0
"""Attaches a pinned program to a device by TCX, in both directions: `attach_tcx.py PATH DEVICE`.

Debian 12's bpftool does not know TCX. The program stays after this process has ended.
"""
import ctypes
import os
import socket
import struct
import sys

BPF_OBJ_GET, BPF_PROG_ATTACH, INGRESS, EGRESS = 7, 8, 46, 47
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 64)
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        sys.exit(f"bpf: {os.strerror(ctypes.get_errno())}")
    return result


path = ctypes.create_string_buffer(sys.argv[1].encode())
program = bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0))
for attach_type in INGRESS, EGRESS:
    # union bpf_attr, attach: ifindex, program, attach type, flags
    bpf(BPF_PROG_ATTACH, struct.pack("=IIII", socket.if_nametoindex(sys.argv[2]), program, attach_type, 0))
