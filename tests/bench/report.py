# SPDX-License-Identifier: Apache-2.0
"""The figures of the benchmark as text, and its goals."""

import os
import platform

LIBPCAP = "bare libpcap loop"
AGENT = "tcpwin-agent replay"
KERNEL = "tcpwin-agent --engine kernel"

# Packets per second of Tranalyzer2, measured elsewhere on other files; only the ratios to libpcap are comparable.
TRANALYZER2 = {"few": 5.3e6, "mixed": 2.7e6}
OF_LIBPCAP = {"few": 0.6, "mixed": 0.4}
FASTER_THAN_TOOLS = 5
FLOWS_MB = 300


def field_of(path, name):
    try:
        with open(path) as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == name:
                    return value.strip()
    except OSError:
        pass
    return "unknown"


def cpu_name():
    """Some virtual machines give only a number as the model name; then the vendor is put before it."""
    name = field_of("/proc/cpuinfo", "model name")
    return name if not name.isdigit() else f"{field_of('/proc/cpuinfo', 'vendor_id')} model {name}"


def machine(core):
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "core_used": core,
        "memory": field_of("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "virtual": "hypervisor" in field_of("/proc/cpuinfo", "flags"),
    }


# ---- goals ----


def find(rows, source, tool):
    for row in rows:
        if row["input"] == source and row["tool"] == tool and "failure" not in row:
            return row
    return None


def others(rows, source):
    return [row for row in rows
            if row["input"] == source and row["tool"] not in (LIBPCAP, AGENT, KERNEL) and "failure" not in row]


def fastest(rows, source):
    return max(others(rows, source), key=lambda row: row["packets_per_second"], default=None)


def goal(what, reached, wanted, met):
    return {"goal": what, "reached": reached, "wanted": wanted, "met": met}


def speed_goals(rows, source):
    agent, loop, other = find(rows, source, AGENT), find(rows, source, LIBPCAP), fastest(rows, source)
    speed = agent["packets_per_second"]
    ratio = speed / loop["packets_per_second"]
    twice = 2 * TRANALYZER2[source]
    least = OF_LIBPCAP[source]
    made = [
        goal(f"{source}: ratio to bare libpcap", f"{ratio:.2f}", f">= {least}", ratio >= least),
        goal(f"{source}: twice Tranalyzer2's rate (measured elsewhere, on other files)", f"{speed / 1e6:.1f} M/s",
             f">= {twice / 1e6:.1f} M/s", speed >= twice),
    ]
    if other:
        times = speed / other["packets_per_second"]
        made.append(goal(f"{source}: times the fastest other tool, {other['tool']}", f"{times:.1f}",
                         f">= {FASTER_THAN_TOOLS}", times >= FASTER_THAN_TOOLS))
    return made


def goals(rows):
    peak = find(rows, "flows", AGENT)["peak_mb"]
    memory = goal("flows: peak memory of one million live flows", f"{peak:.0f} MB", f"< {FLOWS_MB} MB",
                  peak < FLOWS_MB)
    return [*speed_goals(rows, "few"), *speed_goals(rows, "mixed"), memory]


# ---- text ----

HEADINGS = ["input", "tool", "M packets/s [min-max]", "CPU s", "wall s", "runs", "peak MB", "agent/tool",
            "tool/libpcap", "processed"]


def peak_cell(row, floor):
    return f"{row['peak_mb']:.0f}" if row["peak_mb"] > floor + 1 else f"<= {floor:.0f}"


def processed_cell(row):
    if row["tool"] == KERNEL:
        return ""
    return f"{row['processed'] / row['packets']:.1%}" if row.get("processed") is not None else "unknown"


def cells(row, rows, floor):
    if "failure" in row:
        return [row["input"], row["tool"], row["failure"]]
    agent, loop = (find(rows, row["input"], tool)["packets_per_second"] for tool in (AGENT, LIBPCAP))
    speed = row["packets_per_second"]
    rates = f"{speed / 1e6:.2f} [{row['lowest'] / 1e6:.2f}-{row['highest'] / 1e6:.2f}]"
    return [row["input"], row["tool"], rates, f"{row['cpu_seconds']:.2f}", f"{row['wall_seconds']:.2f}",
            str(row["runs"]), peak_cell(row, floor), f"{agent / speed:.2f}", f"{speed / loop:.2f}", processed_cell(row)]


def align(lines):
    """Makes columns as wide as their widest cell. The last cell of a short line may be longer."""
    full = [line for line in lines if len(line) == len(HEADINGS)]
    widths = [max(len(line[column]) for line in full) for column in range(len(HEADINGS))]
    widths[1] = max(len(line[1]) for line in lines if line)
    def aligned(line):
        return "  ".join(cell.ljust(width) if column < 2 or len(line) < len(HEADINGS) else cell.rjust(width)
                         for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
    return [aligned(line) for line in lines]


def table(result):
    order = [entry["name"] for entry in result["inputs"]]
    rows = sorted(result["rows"], key=lambda row: order.index(row["input"]))
    lines = [HEADINGS]
    for position, row in enumerate(rows):
        if position and row["input"] != rows[position - 1]["input"]:
            lines.append([])
        lines.append(cells(row, rows, result["floor_mb"]))
    return "\n".join(align(lines))


def machine_text(of):
    where = "a virtual machine" if of["virtual"] else "hardware"
    return (f"Machine: {of['cpu']}, {of['cores']} cores, {of['memory']}, {of['kernel']}, {where}; "
            f"all runs on core {of['core_used']}.")


def inputs_text(inputs):
    return "\n".join(f"  {one['name']:6} {one['packets']:,} packets, {one['bytes'] / 1e6:,.0f} MB: {one['what']}"
                     for one in inputs)


def tools_text(listed):
    return "\n".join(f"  {tool['name']} {tool['version']}: {tool['command']}\n    processed: {tool['evidence']}"
                     for tool in listed)


def goals_text(listed):
    return "\n".join(f"  {'yes' if one['met'] else 'NO':4}{one['goal']}: {one['reached']} (goal {one['wanted']})"
                     for one in listed)


def disturbed(rows):
    """Largest ratio of wall time to CPU time of programs that never wait."""
    waits = [row["wall_seconds"] / row["cpu_seconds"] for row in rows if row["tool"] in (LIBPCAP, AGENT)]
    return max(waits)


def limits(rows):
    """Sentences on what limits the figures."""
    for source in "few", "mixed":
        agent, loop = (find(rows, source, tool)["packets_per_second"] for tool in (AGENT, LIBPCAP))
        yield (f"{source}: a packet costs {1e9 / agent:.0f} ns; with libpcap, reading alone costs {1e9 / loop:.0f} ns "
               f"(the agent reaches {agent / loop:.0%} of its speed).")
        if other := fastest(rows, source):
            times = loop / other["packets_per_second"]
            yield (f"{source}: the bare libpcap loop is {times:.1f} times as fast as {other['tool']}; "
                   "no program that reads with libpcap can exceed that.")
    yield "The start of a program is included; its few milliseconds matter most to the fastest programs."
    if (wait := disturbed(rows)) > 1.2:
        yield f"Other work ran on the core: up to {wait:.1f} s of wall time per second of CPU time, and caches were shared."


def collisions_text(of):
    return (f"{of['flows']:,} IPv6 flows whose keys all have one hash value: {of['colliding']:.2f} s of CPU time; with random "
            f"keys: {of['random']:.2f} s.\nRatio: {of['colliding'] / of['random']:.1f}.")


def text(result):
    limit_lines = "\n".join("  " + line for line in limits(result["rows"]))
    return f"""
{table(result)}

M packets/s: million packets per second of CPU time, median [lowest-highest] of the runs. agent/tool: speed of the agent
divided by that of the tool. processed: share of the packets that the tool reports as processed. Peak memory below
{result['floor_mb']:.0f} MB, that of the benchmark itself, cannot be measured.

Goals:
{goals_text(result['goals'])}

Limits:
{limit_lines}

Collisions:
{collisions_text(result['collisions'])}

{machine_text(result['machine'])}
Inputs:
{inputs_text(result['inputs'])}
Tools:
{tools_text(result['tools'])}"""
