#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the pages of text (*.md).

- Every relative link leads to an existing file, and its anchor to a heading of that page.
- Every path of this repository that a page names exists.
- README.md has at most 150 lines.

Links to other sites are not checked. Exit code 1, and one line per mistake, if there is any.
"""

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
README_LINES = 150
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A path begins with a directory or a hidden directory at the top, and is not the end of a longer one (build/tests/...).
PATH = re.compile(
    r"(?<![\w/.-])((?:bpf|docs|include|schema|tests|user|LICENSES|\.ci|\.reuse)/[\w./-]*|[A-Z]+\.md|Makefile|\.clang-\w+)"
)


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", "*.md"],
        cwd=TOP, check=True, capture_output=True, text=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if name and (path := TOP / name).is_file())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*?)\s*$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def wrong_link(page: Path, link: str) -> str | None:
    if re.match(r"[a-z]+:", link):
        return None
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return f"there is no {link}"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{link}: there is no such heading"
    return None


def wrong_paths(page: Path, text: str) -> list[str]:
    named = {path.rstrip(".") for path in PATH.findall(LINK.sub("", text))}
    return [f"there is no {path}" for path in sorted(named) if not any((at / path).exists() for at in (TOP, page.parent))]


def complaints(page: Path) -> list[str]:
    text = page.read_text()
    links = dict.fromkeys(LINK.findall(FENCE.sub("", text)))
    wrong = [complaint for link in links if (complaint := wrong_link(page, link))]
    wrong += wrong_paths(page, text)
    lines = len(text.splitlines())
    if page == TOP / "README.md" and lines > README_LINES:
        wrong.append(f"it has {lines} lines; at most {README_LINES} are allowed")
    return [f"{page.relative_to(TOP)}: {complaint}" for complaint in wrong]


def main() -> int:
    found = pages()
    wrong = [complaint for page in found for complaint in complaints(page)]
    print("\n".join(wrong) if wrong else f"{len(found)} pages: every link and path exists")
    return 1 if wrong else 0


sys.exit(main())
