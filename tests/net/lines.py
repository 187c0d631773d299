# SPDX-License-Identifier: Apache-2.0
"""JSON lines of the agent, each validated against the published schema by independent validators.

fastjsonschema validates every line, because stress tests write hundreds of thousands; it supports draft 07, which is the
same for all that the schema uses. jsonschema, which supports 2020-12, also validates the first thousand of a process.

Run as a program, it validates all files of a directory: the lines that C++ tests kept there (tests/support/emitted.hpp).
"""
import functools
import json
import pathlib
import sys

try:
    import fastjsonschema
    import jsonschema
except ImportError as error:
    sys.exit(f"python3-{error.name} is not installed: make deps installs it")

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema" / "tcpwin-agent.schema.json"


class BrokenLine(AssertionError):
    """A line that does not match the schema."""


@functools.cache
def thorough():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@functools.cache
def fast():
    return fastjsonschema.compile(json.loads(SCHEMA.read_text()))


THOROUGHLY = 1000
valid_lines = set()  # hashes; a growing file is read repeatedly


def fault(event, thoroughly):
    """Describes the mistake in the event; None if there is none."""
    try:
        fast()(event)
    except fastjsonschema.JsonSchemaException as error:
        return str(error)
    error = jsonschema.exceptions.best_match(thorough().iter_errors(event)) if thoroughly else None
    return error and f"{error.json_path} {error.message}"


def no_repetition(pairs):
    """An object's members. JSON permits duplicate names; we do not."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name")
    return members


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def parse_line(line):
    """The event of a line (text or bytes), with or without its newline."""
    try:
        event = json.loads(line, object_pairs_hook=no_repetition, parse_constant=no_constant)
    except ValueError as error:
        raise BrokenLine(f"{error}: {line!r}") from None
    key = hash(bytes(line) if isinstance(line, bytearray) else line)
    if key not in valid_lines:
        if wrong := fault(event, len(valid_lines) < THOROUGHLY):
            raise BrokenLine(f"{wrong}: {line!r}")
        valid_lines.add(key)
    return event


def split(text, whole):
    *lines, rest = text.split("\n" if isinstance(text, str) else b"\n")
    if rest and whole:
        raise BrokenLine(f"the last line has no newline: {rest!r}")
    return lines


def parse_lines(text, whole=True):
    """The events of some lines. whole: the last one must have a newline, too; a killed agent may write half a line."""
    return [parse_line(line) for line in split(text, whole)]


def validate_lines(text, whole=True):
    for line in split(text, whole):
        if hash(line) not in valid_lines:
            parse_line(line)


def main(directory):
    counts = {}
    for path in sorted(pathlib.Path(directory).iterdir()):
        try:
            for event in parse_lines(path.read_bytes()):
                counts[event["event"]] = counts.get(event["event"], 0) + 1
        except BrokenLine as error:
            sys.exit(f"{path}: {error}")
    print("valid lines:", ", ".join(f"{count} of event {event}" for event, count in counts.items()) or "none written")


if __name__ == "__main__":
    main(sys.argv[1])
