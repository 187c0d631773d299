#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each source file names its license in its first lines: GPL-2.0-only OR BSD-2-Clause in bpf/, in include/
and in every other C file, which BPF programs consist of; Apache-2.0 elsewhere. Captures, data and pages of text need
no such line.
"""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
KERNEL_SIDE = {".c", ".h"}
SUFFIXES = {".c", ".h", ".cpp", ".hpp", ".py", ".sh", ".cmake", ".sed", ".service"}
NAMES = {"CMakeLists.txt", "Makefile", ".clang-format", ".clang-tidy"}


def is_source(name: str) -> bool:
    path = TOP / name
    if path.suffix in SUFFIXES or path.name in NAMES:
        return path.is_file()
    return not path.suffix and path.is_file() and path.read_bytes()[:2] == b"#!"


def names_licence(name: str) -> bool:
    wanted = "GPL-2.0-only OR BSD-2-Clause" if Path(name).suffix in KERNEL_SIDE else "Apache-2.0"
    first = (TOP / name).read_text().splitlines()[:3]
    return any(line.strip("/*# ") == f"SPDX-License-Identifier: {wanted}" for line in first)


def main() -> int:
    # Root may check what another user cloned.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name and is_source(name)]
    wrong = [name for name in names if not names_licence(name)]
    for name in wrong:
        print(f"{name}: no SPDX-License-Identifier, or the wrong one")
    if not wrong:
        print(f"{len(names)} files name their license")
    return 1 if wrong else 0


sys.exit(main())
