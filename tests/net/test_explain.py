# SPDX-License-Identifier: Apache-2.0
"""tcpwin-agent explain: a summary of the worst stalls, from records and from captures."""
import gzip
import json
import os
import re
import resource
import struct
import subprocess
import threading

import pytest

from agent import BINARY, run_agent
from captures import DIRECTORY
from frames import from_client, from_server

START = 1_600_000_000_000_000_000  # 2020-09-13T12:26:40Z
DEAD = DIRECTORY / "zerowindow_dead.pcapng"


def stall(episodes=1, total=4.2, longest=None, open=False, last_ended="resumed", probes=5, probe_answers=4):
    return {"zero_window_segments": 9, "episodes": episodes, "total": total, "longest": longest or total, "open": open,
            "last_ended": None if open else last_ended, "probes": probes, "probe_answers": probe_answers}


NO_STALL = stall(0, 0, 0, last_ended=None, probes=0, probe_answers=0)


def side(ip, port, **more):
    return {"ip": ip, "port": port, "packets": 10, "bytes": 400, "tcp_flags": ["ACK"], "zero_window_count": 0,
            "timeout": 1.0, "stall": NO_STALL} | more


def flow(number=7, seconds=(0, 9), **more):
    start, end = (START + int(second * 10**9) for second in seconds)
    return {"schema": 1, "event": "flow", "flow_id": number, "continues": None, "in_iface": "eth0", "vlan": None,
            "start_ns": start, "end_ns": end, "end_reason": "idle_timeout", "a": side("10.0.0.1", 40000),
            "b": side("10.0.0.2", 80, stall=stall())} | more


@pytest.fixture
def explain(tmp_path):
    """explain(records, options...): the outcome for a file with these records, or with this text"""
    def run(records, *options):
        text = records if isinstance(records, str) else "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / "records").write_text(text)
        return run_agent("explain", *options, tmp_path / "records")
    return run


def summary(outcome):
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return " ".join(outcome.stdout.split())


# ---- sentences ----

def test_a_stall_is_described_completely(explain):
    closed = flow(a=side("10.0.0.1", 40000, tcp_flags=["ACK", "FIN"]),
                  b=side("10.0.0.2", 80, stall=stall(3, 4.2, 3.1)), vlan=42)
    assert summary(explain([closed])) == (
        "1 endpoint closed its window, in 1 flow. "
        "1. 10.0.0.2:80 stopped reading from 10.0.0.1:40000 3 times, for 4.2 s in all (the longest 3.1 s). "
        "10.0.0.1:40000 probed 5 times and received 4 answers: the window was still closed. "
        "Reading resumed after the last stall. "
        "Seen from 2020-09-13T12:26:40.000Z to 2020-09-13T12:26:49.000Z on eth0, VLAN 42 (flow 7). "
        "The connection was closed by 10.0.0.1:40000 (FIN).")


@pytest.mark.parametrize("what, sentence", [
    (stall(1, 0.31), "stopped reading from 10.0.0.1:40000 once, for 310 ms."),
    (stall(2, 125), "stopped reading from 10.0.0.1:40000 twice, for 2 min 5 s in all (the longest 2 min 5 s)."),
    (stall(1, 0.000003), "once, for 3 us."),
    (stall(1, 0.0000003), "once, for less than 1 us."),
    (stall(1, 0), "once, for less than 1 us."),
    (stall(1, 0.9999), "once, for 1.0 s."),
    (stall(1, 120), "once, for 2 min."),
    (stall(1, 3725), "once, for 1 h 2 min."),
    (stall(1, 86400 * 40), "once, for 40 d."),
    (stall(1) | {"last_began_ns": START + 10**9}, "once, for 4.2 s, from 2020-09-13T12:26:41.000Z."),
    (stall(2) | {"last_began_ns": START}, "(the longest 4.2 s), the last time from 2020-09-13T12:26:40.000Z."),
    (stall(open=True), "The window was not opened again."),
    (stall(2, open=True), "After the last stall, the window was not opened again."),
    (stall(last_ended="fin"), "It ended with a FIN."),
    (stall(last_ended="reset"), "It ended with a reset (RST)."),
    (stall(2, last_ended="reset"), "The last stall ended with a reset (RST)."),
    (stall(last_ended="new_connection"), "It ended because a new connection began on the same ports."),
    (stall(probes=0), "10.0.0.1:40000 sent no probe."),
    (stall(probes=1, probe_answers=0), "10.0.0.1:40000 probed once and received no answer."),
    (stall(probes=2, probe_answers=None), "10.0.0.1:40000 probed twice."),
    (stall(probes=None), "It is not known whether 10.0.0.1:40000 probed."),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_stall(explain, what, sentence):
    assert sentence in summary(explain([flow(b=side("10.0.0.2", 80, stall=what))]))


@pytest.mark.parametrize("reason, flags, sentence", [
    ("shutdown", [], "The recording ended before the connection did."),
    ("interface_gone", [], "Then the interface was deleted."),
    ("idle_timeout", [], "Then no packet was seen for 1.0 s, the timeout."),
    ("abort_timeout", [], "The record ends 1.0 s after the last packet, because the flow was aborted for its zero windows."),
    ("idle_timeout", ["RST", "FIN"], "The connection was reset by 10.0.0.1:40000."),
    ("shutdown", ["FIN"], "The connection was closed by 10.0.0.1:40000 (FIN)."),
])
def test_the_end_of_a_connection(explain, reason, flags, sentence):
    assert sentence in summary(explain([flow(end_reason=reason, a=side("10.0.0.1", 40000, tcp_flags=flags))]))


def test_segments_that_the_peer_ignored(explain):
    """A RST among them did not reset the connection."""
    def text(last_ended, **more):
        return summary(explain([flow(a=side("10.0.0.1", 40000, tcp_flags=["RST", "ACK"], tcp=more),
                                     b=side("10.0.0.2", 80, stall=stall(last_ended=last_ended)))]))
    ignored = text("resumed", ignored_segments=2, duplicates=0)
    assert "was reset" not in ignored
    assert "2 segments of 10.0.0.1:40000 were outside the window of its peer, which ignored them." in ignored
    both = text("reset", ignored_segments=1, duplicates=3)
    assert "The connection was reset by 10.0.0.1:40000." in both
    assert "1 segment of 10.0.0.1:40000 was outside the window of its peer, which ignored it." in both
    assert "The capture has 3 packets twice (a mirror port?)." in both
    older = text("resumed")
    assert "The connection was reset by 10.0.0.1:40000." in older and "ignored" not in older


def test_a_connection_that_is_seen_at_several_places_is_one(explain):
    flows = [flow(n, (n / 1000, 9), vlan=vlan, in_iface=None) for n, vlan in enumerate((10, 20, None))]
    text = summary(explain(flows))
    assert "1 endpoint closed its window, in 3 flows." in text
    assert "VLAN 10 (flow 0). It was also seen on VLAN 20 and no VLAN." in text and "2. " not in text.split("Seen")[1]


def test_records_without_times(explain):
    text = summary(explain([flow(1, (0, 0), b=side("10.0.0.2", 80, stall=stall(2, 0)))]))
    assert "stopped reading from 10.0.0.1:40000 twice, for an unknown time." in text
    assert "Seen at an unknown time on eth0 (flow 1)." in text
    assert "The records have no times: durations are not known." in text


def test_records_of_a_clock_that_was_set_back(explain):
    back = flow(b=side("10.0.0.2", 80, stall=stall(1, 0) | {"last_began_ns": START + 3600 * 10**9}))
    text = summary(explain([back]))
    assert "once, for an unknown time" in text and "The clock went back during 1 flow: some durations are not known." in text


# ---- hostile records ----

ESCAPE = "\x1b]0;title\x07\x1b[31m\x9b2J\x7f\n"


def test_no_control_character_of_a_record_is_printed(explain):
    outcome = explain([flow(in_iface=ESCAPE, end_reason=ESCAPE, a=side(ESCAPE, 1, stall=stall(last_ended=ESCAPE)))])
    assert outcome.exit_code == 0 and "2 endpoints closed" in outcome.stdout
    assert [c for c in outcome.stdout if c != "\n" and not " " <= c <= "~"] == []


def test_no_control_character_of_a_file_name_is_printed(tmp_path):
    sentence, = run_agent("explain", tmp_path / ESCAPE).errors
    assert "No such file" in sentence and "\\x1b]0;title" in sentence
    assert [c for c in sentence if not " " <= c <= "~"] == []


def test_both_sides_are_the_same(explain):
    same = side("10.0.0.1", 80, stall=stall())
    assert "10.0.0.1:80 stopped reading from 10.0.0.1:80 once" in summary(explain([flow(a=same, b=same)]))


def test_sums_that_do_not_fit(explain):
    last = {"end_ns": 2**63 - 1}
    text = summary(explain([flow(n, continues=n - 1 or None, b=side("10.0.0.2", 80, stall=stall(1, 9e9, open=True))) | last
                            for n in range(1, 30)]))
    assert "once, for 106751 d 23 h." in text


@pytest.mark.parametrize("change", ["nothing", "peer", "number"])
def test_the_time_is_linear_in_the_flows(explain, change):
    def flows(count):
        for n in range(1, count + 1):
            yield flow(n * 62233 * 541 if change == "number" else n, (n, n + 0.5), continues=n - 1 or None,
                       a=side("10.0.0.1", n if change == "peer" else 1),
                       b=side("10.0.0.2", 80, stall=stall(1, 0.5, open=True)))
    def cpu_time(count):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert f"in {count} flows" in summary(explain(flows(count)))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Quadratic time would be 16 times as long.
    assert cpu_time(20_000) < 10 * cpu_time(5_000) + 0.5


def write_syns(path, count):
    """A capture in which each of `count` addresses sends one SYN."""
    ethernet, tcp = b"\x02" * 12 + b"\x08\x00", struct.pack("!HHIIBBHHH", 1024, 80, 1, 0, 0x50, 0x02, 4096, 0, 0)
    with open(path, "wb") as capture:
        capture.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i in range(count):
            ip = struct.pack("!BBHHHBBHII", 0x45, 0, 40, 0, 0, 64, 6, 0, 0x0b000000 + i, 0xc0000201)
            capture.write(struct.pack("<IIII", 1_600_000_000, i % 10**6, 54, 54) + ethernet + ip + tcp)


def test_a_million_connections(tmp_path):
    write_syns(tmp_path / "syns.pcap", 1_000_000)
    with subprocess.Popen([BINARY, "explain", tmp_path / "syns.pcap"], stdout=subprocess.PIPE, text=True) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, text) == (0, "No stalls: no endpoint stopped reading in 1000000 flows.\n")
    assert usage.ru_maxrss * 1024 < 50_000_000 + 1_000_000 * 700, "as docs/security.md says"


def test_ipv6_and_a_peer_that_was_not_seen(explain):
    text = summary(explain([flow(a=side("2001:db8::1", 80, stall=stall()), b=None, in_iface=None)]))
    assert "[2001:db8::1]:80 stopped reading once, for 4.2 s. Its peer was not seen. Reading resumed." in text


def test_without_stall_analysis_only_counts_are_known(explain):
    text = summary(explain([flow(b=side("10.0.0.2", 80, stall=None, zero_window_count=4)), flow(8, b=None)]))
    assert ("10.0.0.2:80 announced a closed window to 10.0.0.1:40000 in 4 of its 10 packets. It is not known for "
            "how long: the record has no stall analysis.") in text
    assert "Without stall analysis: 1 of 2 flows." in text
    assert "probe" not in text and "resumed" not in text


def test_records_that_continue_each_other_are_one(explain):
    """As at the timeout of the tutorial: the probes come at growing intervals."""
    reader = {"b": side("10.0.0.2", 80, stall=stall(1, 0.5, open=True, probes=1, probe_answers=1))}
    text = summary(explain([flow(1, (0, 0.5), **reader), flow(5, (2, 2.5), continues=1, **reader),
                         flow(6, (5, 5.5), continues=5, b=side("10.0.0.2", 80, stall=stall(1, 0.25, probes=1)))]))
    assert "1 endpoint closed its window, in 3 flows." in text
    assert "stopped reading from 10.0.0.1:40000 once, for 5.2 s." in text  # 0.5 + 1.5 + 0.5 + 2.5 + 0.25
    assert "probed 3 times" in text and "Reading resumed." in text
    assert "(3 flows that continue each other, 1 to 6)" in text
    assert "--profile monitor" in text


def test_the_worst_come_first_up_to_the_limit(explain):
    flows = [flow(n, b=side(f"10.0.0.{n}", 80, stall=stall(1, n))) for n in range(1, 15)]
    text = summary(explain(flows))
    assert "14 endpoints closed their window, in 14 flows. The worst 10: 1. 10.0.0.14:80 stopped" in text
    assert " 10. 10.0.0.5:80 stopped" in text and "10.0.0.4:80" not in text
    assert "The worst 1: 1. 10.0.0.14:80" in summary(explain(flows, "--top", 1))
    assert "The worst" not in summary(explain(flows, "--top", 100))


def test_no_stalls(explain):
    quiet = flow(b=side("10.0.0.2", 80))
    assert summary(explain([quiet, quiet])) == "No stalls: no endpoint stopped reading in 2 flows."
    resets = flow(b=side("10.0.0.2", 80, zero_window_count=3))
    assert summary(explain([resets])) == ("No stalls: no endpoint stopped reading in 1 flow. 3 packets announced a window of zero in "
                                       "a SYN, FIN or RST, or too late, which blocks no sender.")


def test_an_empty_file_has_no_flows(explain):
    assert summary(explain("")) == "No stalls: there are no flows."


def test_other_events_are_ignored(explain):
    assert "in 1 flow." in summary(explain([{"schema": 1, "event": "packet"}, flow(), {"schema": 1, "event": "later"}]))


# ---- input that cannot be read ----

@pytest.mark.parametrize("text, words", [
    ("hello\n", ["neither flow records", "nor a capture", "pcap"]),
    ('{"schema":1,"event":"packet"}\n', ["1 packet line", "no flow records", "--output", "--packets"]),
    ('{"schema":1,"event":"alarm"}\n' * 2 + '{"schema":1,"event":"stats"}\n',
     ["2 alarm lines, 1 stats line,", "no flow records", "when flows end"]),
    ('{"schema":1,"event":"status"}\n', ["1 status line", "attach or replay"]),
    ('{"a":1}\n', ["line 1", "not a line of tcpwin-agent"]),
    ('{"schema":2,"event":"flow"}\n', ["line 1", "schema 2"]),
    ("%dir\tflowInd\n", ["Tranalyzer2", "--format json"]),
    ("pktNo\tflowInd\n", ["Tranalyzer2", "--format json"]),
    ("{" + " " * 3_000_000 + "}\n", ["line 1", "million"]),
], ids=lambda value: "" if isinstance(value, list) else value[:12].strip())
def test_a_file_without_flow_records_is_refused(explain, text, words):
    outcome = explain(text)
    sentence, = outcome.errors
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert [word for word in words if word not in sentence] == [], sentence


@pytest.mark.parametrize("rest, words", [
    (json.dumps(flow())[:100], "line 2 of .*records: it has no newline: the file was cut; the lines before it are summarized"),
    ("nonsense\n", "line 2 of .*records: it is not JSON"),
    ("\n", "line 2 of .*records: it is not JSON"),
])
def test_all_before_a_broken_line_is_summarized(explain, rest, words):
    outcome = explain(json.dumps(flow()) + "\n" + rest)
    sentence, = outcome.errors
    assert outcome.exit_code == 1
    assert "10.0.0.2:80 stopped reading" in outcome.stdout
    assert re.search(words, sentence), sentence


def test_a_last_line_without_newline_is_read(explain):
    assert "in 1 flow." in summary(explain(json.dumps(flow())))


@pytest.mark.parametrize("file, words", [("nosuchfile", "No such file"), (".", "directory")])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, file, words):
    outcome = run_agent("explain", tmp_path / file)
    sentence, = outcome.errors
    assert outcome.exit_code == 1 and words in sentence


@pytest.mark.parametrize("arguments", [[], ["--top", "0", "x"], ["--top", "many", "x"], ["x", "y"], [""]])
def test_wrong_usage_is_refused(arguments):
    outcome = run_agent("explain", *arguments)
    assert (outcome.exit_code, len(outcome.errors), outcome.stdout) == (2, 1, "")


def test_a_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "explain", DEAD], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_help_has_examples():
    text = run_agent("explain", "--help").stdout
    assert "tcpwin-agent explain capture.pcapng" in text and "--top" in text


# ---- captures ----

@pytest.fixture
def from_stdin():
    def run(data, pause=None):
        """Through a pipe whose first bytes may come one by one."""
        process = subprocess.Popen([BINARY, "explain", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        def feed():
            for start, end in ((0, 1), (1, 3), (3, len(data))):
                process.stdin.write(data[start:end])
                process.stdin.flush()
                if pause:
                    pause.wait(0.1)
            process.stdin.close()
        feeder = threading.Thread(target=feed)
        feeder.start()
        out, err = process.stdout.read().decode(), process.stderr.read().decode()
        feeder.join()
        process.wait(20)
        assert err == ""
        return out
    return run


def test_a_receiver_that_never_opens_its_window_again():
    text = summary(run_agent("explain", DEAD))
    assert ("1. 172.31.136.85:38760 stopped reading from 195.81.202.68:80 once, for 23.7 s, from 2009-03-03T15:55:16.488Z. "
            "195.81.202.68:80 probed 3 times and received 3 answers: the window was still closed. "
            "The window was not opened again.") in text
    assert "Seen from 2009-03-03T15:55:16.488Z to 2009-03-03T15:55:40.220Z (flow 1)." in text, "one flow: long timeouts"
    assert "The recording ended before the connection did." in text


def test_a_receiver_that_opens_its_window_again():
    text = summary(run_agent("explain", DIRECTORY / "zerowindow_recovery.pcapng"))
    assert "1 endpoint closed its window, in 1 flow. 1. 192.168.0.20:2235 stopped reading from 192.168.0.30:1720 once, for 10 ms, " in text
    assert "Reading resumed." in text


def test_records_cut_by_timeouts_give_the_same(tmp_path):
    """With the tutorial's timeouts the dead receiver is four flows."""
    records = tmp_path / "records"
    assert len(run_agent("replay", "-q", DEAD, "--output", records).records) == 0
    text = summary(run_agent("explain", records))
    assert "stopped reading from 195.81.202.68:80 once, for 23.7 s, from 2009-03-03T15:55:16.488Z." in text
    assert "probed 3 times and received 3 answers: the window was still closed." in text
    assert "(4 flows that continue each other, 1 to 4)" in text and "--profile monitor" in text


def test_no_analysis(tmp_path):
    records = tmp_path / "records"
    run_agent("replay", "-q", "--no-analysis", DEAD, "--output", records)
    text = summary(run_agent("explain", records))
    assert "It is not known for how long: the record has no stall analysis." in text
    assert "Without stall analysis: 4 of 4 flows." in text


def pcap(frames, vlan=None):
    """frames: (seconds since START, bytes)"""
    def record(seconds, frame):
        tagged = frame if vlan is None else frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]
        time = START + round(seconds * 10**9)
        return struct.pack("<IIII", time // 10**9, time % 10**9, len(tagged), len(tagged)) + tagged
    return struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1) + b"".join(record(*one) for one in frames)


STALL = [(0, from_client()), (0.1, from_server()), (1, from_server(window=0)), (1.2, from_client()), (5, from_server())]


def shifted(frames, first, seconds):
    return [(time + (seconds if place >= first else 0), frame) for place, (time, frame) in enumerate(frames)]


@pytest.mark.parametrize("frames, duration, sentence", [
    (STALL, "for 4.0 s", None),
    (shifted(STALL, 3, -3600), "for 3.8 s",
     "The clock of the capture was set back once, by about 1 h, at 2020-09-13T12:26:41.000Z (frame 4): time that passed meanwhile is not counted."),
    (STALL[:3] + [(86400 * 9000, from_client())] + STALL[4:], "for 4.0 s",
     "1 frame of the capture had a wild time, and counted at the time of the frame before."),
    ([(0, frame) for _, frame in STALL], "for an unknown time", "The capture has no times: durations are not known."),
], ids=["good", "set back", "wild", "no times"])
def test_the_clock_of_a_capture(tmp_path, frames, duration, sentence):
    (tmp_path / "capture").write_bytes(pcap(frames))
    text = summary(run_agent("explain", tmp_path / "capture"))
    assert f"10.1.0.2:80 stopped reading from 10.1.0.1:40000 once, {duration}" in text
    assert text.count("clock of the capture") + text.count("wild time") + text.count("no times") == (sentence is not None)
    assert sentence is None or sentence in text


def test_a_mirror_of_two_vlans(tmp_path):
    both = sorted([(time, 10, frame) for time, frame in STALL] + [(time + 0.00002, 20, frame) for time, frame in STALL])
    header = len(pcap([]))
    (tmp_path / "capture").write_bytes(pcap([]) + b"".join(pcap([(time, frame)], vlan)[header:] for time, vlan, frame in both))
    text = summary(run_agent("explain", tmp_path / "capture"))
    assert "1 endpoint closed its window, in 2 flows." in text
    assert "VLAN 10 (flow 1). It was also seen on VLAN 20." in text
    assert run_agent("explain", "--vlan-tracking", "maybe", tmp_path / "capture").exit_code == 2
    assert "1 endpoint closed its window" in summary(run_agent("explain", "--vlan-tracking", "no", tmp_path / "capture"))


def pcapng(*interfaces):
    """interfaces: (link type, snapshot length, frames)"""
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    def packet(number, frame):
        return block(6, struct.pack("<IIIII", number, 0x5AF0, 0, len(frame), len(frame)) + frame)
    return (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
            + b"".join(block(1, struct.pack("<HHI", link, 0, length)) for link, length, _ in interfaces)
            + b"".join(packet(n, frame) for n, (_, _, frames) in enumerate(interfaces) for frame in frames))


def follow_advice(outcome, directory, **words):
    """Runs the commands that the message has in quotes, with these words instead of others."""
    sentence, = outcome.errors
    commands = [one for one in re.findall(r"'([^']+)'", sentence) if one.startswith(("tshark", "editcap"))]
    assert commands, sentence
    for command in commands:
        for word, other in words.items():
            command = command.replace(word, str(other))
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True, timeout=60)


@pytest.mark.needs("editcap")
def test_interfaces_with_several_snapshot_lengths(tmp_path):
    frames = [frame for _, frame in STALL]
    (tmp_path / "in").write_bytes(pcapng((1, 262144, frames), (1, 65535, frames)))
    outcome = run_agent("explain", tmp_path / "in")
    assert outcome.exit_code == 1 and "snapshot length" in outcome.errors[0]
    follow_advice(outcome, tmp_path, FILE="in")
    assert "1 endpoint closed its window" in summary(run_agent("explain", tmp_path / "NEW.pcap"))


@pytest.mark.needs("editcap", "tshark")
@pytest.mark.parametrize("number, kind", [(0, "ether"), (1, "rawip")])
def test_interfaces_with_several_link_types(tmp_path, number, kind):
    frames = [frame for _, frame in STALL]
    (tmp_path / "in").write_bytes(pcapng((1, 262144, frames), (101, 262144, [frame[14:] for frame in frames])))
    outcome = run_agent("explain", tmp_path / "in")
    assert outcome.exit_code == 1 and "different from the type" in outcome.errors[0]
    follow_advice(outcome, tmp_path, FILE="in", ether=kind, **{"==0": f"=={number}"})
    assert "1 endpoint closed its window" in summary(run_agent("explain", tmp_path / "0.pcap"))


def test_a_capture_without_stalls():
    assert summary(run_agent("explain", DIRECTORY / "dupack.pcapng")).startswith("No stalls: no endpoint stopped reading in 1 flow.")


def test_the_same_from_standard_input_and_compressed(tmp_path, from_stdin):
    expected = run_agent("explain", DEAD).stdout
    content = DEAD.read_bytes()
    (tmp_path / "compressed").write_bytes(gzip.compress(content))
    assert run_agent("explain", tmp_path / "compressed").stdout == expected
    assert from_stdin(content) == expected
    assert from_stdin(content, threading.Event()) == expected
    assert from_stdin(gzip.compress(content), threading.Event()) == expected
    with open(DEAD, "rb") as file:
        assert subprocess.run([BINARY, "explain", "-"], stdin=file, capture_output=True, text=True).stdout == expected


def test_records_from_standard_input(from_stdin):
    data = json.dumps(flow()).encode() + b"\n"
    assert "10.0.0.2:80 stopped reading" in from_stdin(data)
    assert "10.0.0.2:80 stopped reading" in from_stdin(data, threading.Event())
    assert from_stdin(b"") == "No stalls: there are no flows.\n"


def test_a_capture_that_was_cut(tmp_path):
    (tmp_path / "cut").write_bytes((DIRECTORY / "http_206.pcap").read_bytes()[:200_000])
    outcome = run_agent("explain", tmp_path / "cut")
    assert outcome.exit_code == 1 and "beyond frame" in outcome.errors[0]
    assert "192.168.72.14:3254" in outcome.stdout


@pytest.mark.parametrize("path", sorted(DIRECTORY.rglob("*.pcap*")), ids=lambda path: path.stem)
def test_every_capture_and_its_records(path, tmp_path):
    """With long timeouts, the records and the capture give the same summary."""
    records = tmp_path / "records"
    long = [word for name in ("new", "bgn", "est", "abrt") for word in (f"--timeout-{name}", "600s")]
    assert run_agent("replay", "-q", *long, "--abort-count", 4294967295, "--output", records, path).exit_code == 0
    from_capture, from_records = run_agent("explain", "--top", 1000, path), run_agent("explain", "--top", 1000, records)
    assert summary(from_capture) == summary(from_records)
    assert os.path.getsize(records) == 0 or " flow" in summary(from_records)
    assert run_agent("replay", "-q", "--output", records, path).exit_code == 0
    summary(run_agent("explain", records))


def test_interim_records_count_once(tmp_path):
    """The final record of a flow counts; if it is missing, the last interim one counts."""
    records = tmp_path / "flows.json"
    replay = run_agent("replay", DIRECTORY / "zerowindow_dead.pcapng", "--profile", "monitor", "--active-timeout", "5s",
                       "--output", records)
    assert replay.exit_code == 0, replay.stderr
    lines = records.read_text().splitlines(keepends=True)
    flows = [line for line in lines if '"event":"flow"' in line]
    assert len(flows) > 2 and '"interim":false' in flows[-1]
    whole = summary(run_agent("explain", records))
    assert "1 endpoint closed its window, in 1 flow." in whole
    assert "once, for 23.7 s," in whole and "probed 3 times" in whole
    records.write_text("".join(line for line in lines if '"interim":false' not in line))
    cut = summary(run_agent("explain", records))
    assert "1 endpoint closed its window, in 1 flow." in cut
    assert "The connection was still alive when this was recorded." in cut
