# SPDX-License-Identifier: Apache-2.0
"""Agents that follow each other over what the first one pinned."""
from agent import run_agent
from lines import parse_lines

LONG = ("--timeout-new", "60s", "--timeout-bgn", "60s", "--timeout-est", "60s", "--timeout-abrt", "60s",
        "--abort-count", "1000000")


class Persistent:
    """Agents of one bpffs, and one file of records that they go on with."""

    def __init__(self, start_agent, bpffs, file):
        self.start_agent, self.bpffs, self.file = start_agent, bpffs, file

    def attach(self, namespace, *devices, options=(), output=None, **more):
        agent = self.start_agent(namespace, *devices, "--persistent", "--bpffs", self.bpffs, "--output",
                                 output or self.file, *(options or LONG), **more)
        return agent.wait_attached(*devices)

    def run(self, namespace, command, *arguments):
        return run_agent(command, "--bpffs", self.bpffs, *arguments, prefix=namespace.inside())

    def detach(self, namespace, *devices, output=None):
        return self.run(namespace, "detach", *devices, "--output", output or self.file)

    def status(self, namespace):
        outcome = self.run(namespace, "status", "--json")
        assert outcome.exit_code == 0, outcome.stderr
        return outcome.records

    def records(self):
        return parse_lines(self.file.read_text())

    def packets(self):
        return sum(side["packets"] for record in self.records() for side in (record["a"], record["b"]) if side)

    def pinned(self):
        directory = self.bpffs / "tcpwin-agent"
        return [directory, *directory.rglob("*")] if directory.exists() else []
