# SPDX-License-Identifier: Apache-2.0
"""Persistent agents that share a bpffs, and what they leave attached and pinned."""
import json

from agent import run_agent, sides
from lines import parse_lines
from network import run

# No flow is cut while it is watched.
LONG = ("--timeout-new", "60s", "--timeout-bgn", "60s", "--timeout-est", "60s", "--timeout-abrt", "60s",
        "--abort-count", "1000000")


class Persistent:
    """Agents that share a bpffs and append to one file of records."""

    def __init__(self, start_agent, bpffs, file):
        self.start_agent, self.bpffs, self.file = start_agent, bpffs, file

    def attach(self, namespace, *names, devices=(), options=(), output=None, until_attached=True, **more):
        """devices: the devices to wait for, where these are not `names`."""
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
        return sum(side["packets"] for side in sides(self.records()))

    def pinned(self):
        directory = self.bpffs / "tcpwin-agent"
        return [directory, *directory.rglob("*")] if directory.exists() else []


def attached_programs(namespace, device):
    """Names of all programs on the device: XDP, TCX and clsact."""
    filters = [json.loads(run("tc", "-n", namespace.name, "-j", "filter", "show", "dev", device, way, check=False).stdout
                          or "[]") for way in ("ingress", "egress")]
    clsact = [entry["options"]["prog"]["id"] for way in filters for entry in way if "prog" in entry.get("options", {})]
    shown = [json.loads(run("bpftool", "--json", "prog", "show", "id", str(number), check=False).stdout)
             for number in [*namespace.xdp_programs(device), *namespace.tcx_programs(device), *clsact]]
    # No name: an error, because the program was removed meanwhile.
    return sorted(program["name"] for program in shown if "name" in program)
