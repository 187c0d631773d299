#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that includes go down only, and that docs/architecture.md shows the same floors.

- A room (a directory below user/) includes itself and the rooms on lower floors, never one on its own floor or above.
- bpf/ includes itself and include/; include/ includes itself only.
- tests/unit/ROOM includes what ROOM may include, tests/support/ and schema/, which includes sinks and the rooms below.
- No file includes itself, directly or through others.
- An include in quotes names an existing file: "room/file.hpp" in user/ and tests/.

docs/architecture.md shows the list below in a fenced block, one floor per line, top to bottom, between the lines
<!-- floors --> and <!-- end of floors -->.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGE = "docs/architecture.md"
BEGIN, END = "<!-- floors -->", "<!-- end of floors -->"
FLOORS = """\
main
cli
agent live explain check
engine handover attribution
sinks bpf
net config record capture
base
include/tcpwin"""

# Higher floors have higher numbers.
FLOOR_OF = {room: floor for floor, line in enumerate(reversed(FLOORS.splitlines())) for room in line.split()}
SHARED = "include/tcpwin"
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<(tcpwin/[^>]+)>)', re.MULTILINE)
SUFFIXES = {".c", ".h", ".cpp", ".hpp"}


def sources(directory: str) -> list[Path]:
    return sorted(path for path in (TOP / directory).rglob("*") if path.suffix in SUFFIXES)


def includes(path: Path) -> list[str]:
    """Names in quotes, and <tcpwin/...>; without generated skeletons."""
    names = [quoted or angled for quoted, angled in INCLUDE.findall(path.read_text())]
    return [name for name in names if not name.endswith(".skel.h")]


def resolve(path: Path, name: str) -> Path | None:
    candidates = [path.parent / name, TOP / name, TOP / "user" / name, TOP / "include" / name, TOP / "tests" / name]
    return next((found.resolve() for found in candidates if found.is_file()), None)


def room_of(path: Path) -> str:
    """The room of a file: a name of FLOORS, "bpf/" for the BPF side, "schema", or "tests/DIRECTORY"."""
    parts = path.relative_to(TOP).parts
    if parts[0] == "user":
        return "main" if len(parts) == 2 else parts[1]
    if parts[0] == "tests":
        return "/".join(parts[:3] if parts[1] == "unit" else parts[:2])
    if parts[0] == "schema":
        return "schema"
    return SHARED if parts[0] == "include" else "bpf/"


def may_include(room: str, other: str) -> bool:
    if room == other:
        return True
    if room == "bpf/":
        return other == SHARED
    if room == "schema":
        return other == "sinks" or may_include("sinks", other)
    if room.startswith("tests/unit/"):
        tested = room.removeprefix("tests/unit/")
        tested = SHARED if tested == "tcpwin" else tested
        return other in ("tests/support", "schema", tested) or may_include(tested, other)
    return room in FLOOR_OF and other in FLOOR_OF and FLOOR_OF[other] < FLOOR_OF[room]


def arrows() -> tuple[dict[Path, list[Path]], list[str]]:
    """Which file includes which, and the includes that name no file."""
    found, complaints = {}, []
    for path in [file for part in ("user", "bpf", "include", "schema", "tests/unit", "tests/support") for file in sources(part)]:
        targets = {name: resolve(path, name) for name in includes(path)}
        complaints += [f"{path.relative_to(TOP)}: there is no {name}" for name, file in targets.items() if not file]
        found[path] = [file for file in targets.values() if file]
    return found, complaints


def wrong_arrows(graph: dict[Path, list[Path]]) -> list[str]:
    complaints = []
    for path, targets in graph.items():
        room = room_of(path)
        if room == "tests/support":
            continue
        if "/" not in room and room not in FLOOR_OF and room != "schema":
            complaints.append(f"{path.relative_to(TOP)}: room {room} is on no floor")
            continue
        complaints += [
            f"{path.relative_to(TOP)} ({room}) includes {target.relative_to(TOP)} ({room_of(target)})"
            for target in targets
            if not may_include(room, room_of(target))
        ]
    return complaints


def cycles(graph: dict[Path, list[Path]]) -> list[str]:
    """Files that include each other, directly or through others; each cycle once."""
    done, complaints = set(), []

    def visit(path: Path, trail: list[Path]) -> None:
        if path in trail:
            names = [str(file.relative_to(TOP)) for file in trail[trail.index(path) :] + [path]]
            complaints.append("cycle: " + " -> ".join(names))
        elif path not in done:
            for target in graph.get(path, []):
                visit(target, trail + [path])
            done.add(path)

    for path in graph:
        visit(path, [])
    return complaints


def wrong_page() -> list[str]:
    page = TOP / PAGE
    text = page.read_text() if page.is_file() else ""
    between = re.search(re.escape(BEGIN) + r"(.*?)" + re.escape(END), text, re.DOTALL)
    if not between:
        return [f"{PAGE} does not show the floors: a fenced block between {BEGIN} and {END} must list them"]
    block = re.search(r"^```[a-z]*\n(.*?)^```$", between[1], re.DOTALL | re.MULTILINE)
    shown = [" ".join(line.split()) for line in block[1].strip().splitlines()] if block else []
    if shown != FLOORS.splitlines():
        return [f"{PAGE} shows other floors than tests/lint/floors.py, which has:\n{FLOORS}"]
    return []


def main() -> int:
    graph, complaints = arrows()
    complaints += wrong_arrows(graph) + cycles(graph) + wrong_page()
    for complaint in complaints:
        print(complaint)
    if not complaints:
        print(f"{len(graph)} files include downwards only")
    return 1 if complaints else 0


sys.exit(main())
