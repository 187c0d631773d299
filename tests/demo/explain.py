# SPDX-License-Identifier: Apache-2.0
"""Flow records for people: `explain.py flows|summary FILE`."""
import collections
import json
import sys
import textwrap

ABORTED = 0x40


def sides(record):
    """(direction, its peer) for each direction that was seen."""
    pairs = ((record["a"], record["b"]), (record["b"], record["a"]))
    return [(side, peer) for side, peer in pairs if side]


def endpoint(side):
    if not side:
        return "a peer that sent nothing"
    ip = f"[{side['ip']}]" if ":" in side["ip"] else side["ip"]
    return f"{ip}:{side['port']}"


def print_flow(line):
    """The record as it was written, its two directions on lines of their own."""
    print(line.strip().replace(',"a":', ',\n  "a":', 1).replace(',"b":', ',\n  "b":', 1), end="\n\n")


def many(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


def closed_windows(records):
    """{(who closed its window, towards whom): times}"""
    times = collections.Counter()
    for record in records:
        for side, peer in sides(record):
            times[endpoint(side), endpoint(peer)] += side["zero_window_count"]
    return +times


def aborted_together(records):
    """Flows that a direction aborted, and of these the ones that took their reverse flow along."""
    aborted = [record for record in records if any(int(side["stat"], 16) & ABORTED for side, _ in sides(record))]
    return aborted, [record for record in aborted if all(side["state"] == "ABRT" for side, _ in sides(record)) and record["b"]]


def print_summary(records):
    packets = sum(side["packets"] for record in records for side, _ in sides(record))
    aborted, together = aborted_together(records)
    numbers = ", ".join(str(record["flow_id"]) for record in together)
    says = [f"{endpoint_from} announced a closed receive window (0) {many(count, 'time')} towards {endpoint_to}, "
            f"which had to stop sending." for (endpoint_from, endpoint_to), count in closed_windows(records).items()]
    says = says or ["Nobody closed a receive window."]
    says.append(f"Of {many(len(records), 'flow record')} ({packets} packets), {len(aborted)} ended by the abort after "
                f"repeated zero windows, {len(together)} of them together with the reverse flow"
                f"{f' (flow_id {numbers})' if together else ''}.")
    if aborted:
        pause = min(side["timeout"] for record in aborted for side, _ in sides(record))
        says.append(f"An aborted flow ends at the first pause of {pause * 1000:g} ms, and the next packet begins a new one: "
                    f"hence several records of one connection, and not always the same number in each replay.")
    says.append("It is told by the fields a.zero_window_count and b.zero_window_count (packets that a direction sent with "
                "window 0), bit 0x40 of a.stat or b.stat (this direction aborted the flow), state ABRT in both a and b "
                "(the reverse flow was aborted with it) and end_reason.")
    for sentence in says:
        print(textwrap.fill(sentence, 110, break_long_words=False, break_on_hyphens=False))


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        lines = sorted(file, key=lambda line: json.loads(line)["flow_id"])
    if sys.argv[1] == "summary":
        print_summary([json.loads(line) for line in lines])
    for line in lines if sys.argv[1] == "flows" else []:
        print_flow(line)


main()
