# SPDX-License-Identifier: Apache-2.0
"""Agents of one bpffs, and what they leave attached and pinned."""
import json

from agent import run_agent
from lines import parse_lines
from network import run

LONG = ("--timeout-new", "60s", "--timeout-bgn", "60s", "--timeout-est", "60s", "--timeout-abrt", "60s",
        "--abort-count", "1000000")


class Persistent:
    """Agents of one bpffs, and one file of records that they go on with."""

    def __init__(self, start_agent, bpffs, file):
        self.start_agent, self.bpffs, self.file = start_agent, bpffs, file

    def attach(self, namespace, *names, devices=(), options=(), output=None, until_attached=True, **more):
        """devices: those to wait for, if they are not the names."""
        agent = self.start_agent(namespace, *names, "--persistent", "--bpffs", self.bpffs, "--output",
                                 output or self.file, *(options or LONG), **more)
        return agent.wait_attached(*(devices or names)) if until_attached else agent

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


def attached_programs(namespace, device):
    """Names of all programs on the device: XDP, TCX and clsact."""
    filters = [json.loads(run("tc", "-n", namespace.name, "-j", "filter", "show", "dev", device, way, check=False).stdout
                          or "[]") for way in ("ingress", "egress")]
    clsact = [entry["options"]["prog"]["id"] for way in filters for entry in way if "prog" in entry.get("options", {})]
    return sorted(json.loads(run("bpftool", "--json", "prog", "show", "id", str(number)).stdout)["name"]
                  for number in [*namespace.xdp_programs(device), *namespace.tcx_programs(device), *clsact])
