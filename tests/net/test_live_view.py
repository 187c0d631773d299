# SPDX-License-Identifier: Apache-2.0
"""`flows` and `top`: the live flows of running agents, and of persistent agents that have ended."""
import os
import pwd
import re
import shutil
import signal
import threading
import time

import pytest

from agent import BINARY, run_agent, sides
from frames import from_client, from_server, send, send_from
from leftovers import LONG
from lines import parse_lines
from network import run, wait_until
from terminal import DOWN, ESC, PAGE_DOWN, TIMEOUT, Terminal
from topology import Counted

pytestmark = pytest.mark.needs_root

SORT_KEYS = {
    "stalled": lambda flow: total(flow, "stall", "total"),
    "limited": lambda flow: sum(side["limits"]["receiver"] for side in sides([flow])),
    "zero-windows": lambda flow: total(flow, "stall", "zero_window_segments"),
    "bytes": lambda flow: total(flow, "bytes"),
    "packets": lambda flow: total(flow, "packets"),
    "duration": lambda flow: flow["duration"],
    "retransmitted": lambda flow: total(flow, "tcp", "retransmitted_segments"),
    "idle": lambda flow: -flow["end_ns"]}
HEADING = ["A", "B", "STATE", "CLOSED", "STALLED", "LONGEST", "LIMIT", "ZEROWIN", "PACKETS", "BYTES", "RETRANS", "IDLE", "DURATION",
           "IFACE", "PROGRAM"]


def total(flow, *names):
    amount = 0
    for side in sides([flow]):
        for name in names:
            side = side[name]
        amount += side
    return amount


@pytest.fixture
def watched(topology, start_agent):
    """A pair of hosts whose server's end an agent watches."""
    topology.pair(offload=False)
    start_agent(topology.server, "s0", *LONG).wait_attached("s0")
    return topology


@pytest.fixture
def open_top():
    """open_top(topology.server, arguments...): `top` on a terminal."""
    terminals = []

    def start(namespace, *arguments, prefix=(), environment=None):
        command = namespace.inside(BINARY, "top", "--interval", "200ms", *arguments)
        terminals.append(Terminal([*prefix, *command], environment=environment))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def flows(namespace, *arguments):
    outcome = run_agent("flows", "--json", *arguments, prefix=namespace.inside())
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return outcome.records


def text(namespace, *arguments):
    """The rows of `flows`, each as {heading: cell}."""
    outcome = run_agent("flows", *arguments, prefix=namespace.inside())
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    heading, *rows = outcome.stdout.splitlines()
    assert heading.split() == HEADING
    return [dict(zip(HEADING, row.split(), strict=True)) for row in rows]


def endpoints(connection):
    """As in the rows: A is the client."""
    return tuple("{}:{}".format(*connection.endpoint(side)) if connection.version == 4 else
                 "[{}]:{}".format(*connection.endpoint(side)) for side in ("client", "server"))


def cells(lines, row):
    """A row on the screen as {heading: cell}; the width of the screen decides which columns are shown."""
    return dict(zip(lines[3].split(), lines[row].split(), strict=True))


def is_row(lines, row, connection, closed):
    return lines[row].split()[:2] == [*endpoints(connection)] and cells(lines, row)["CLOSED"] == closed


def find(records, connection):
    client, server = connection.endpoint("client"), connection.endpoint("server")
    record, = [record for record in records if (record["a"]["ip"], record["a"]["port"]) == client]
    assert (record["b"]["ip"], record["b"]["port"]) == server
    return record


def stall(topology, version=4):
    """A connection whose server does not read: its window is closed, as the client's socket knows."""
    connection = topology.connect(version, receive_buffer=4096)
    connection.client.setblocking(False)
    try:
        while True:
            connection.client.send(bytes(65536))
    except BlockingIOError:
        pass
    assert wait_until(lambda: Counted(connection.client).snd_wnd == 0, TIMEOUT)
    return connection


def resume(connection):
    """The server reads everything."""
    connection.server.settimeout(2)
    got = 0
    try:
        while data := connection.server.recv(65536):
            got += len(data)
    except TimeoutError:
        pass
    assert got


# ---- flows ----

@pytest.mark.parametrize("version", [4, 6])
def test_counts_are_those_of_the_sockets(version, watched):
    connection = watched.connect(version)
    connection.transfer(200_001, 50_003)
    record = find(flows(watched.server), connection)
    counted = [(record[side]["packets"], record[side]["bytes"]) for side in "ab"]
    assert counted == [connection.on_the_wire("client"), connection.on_the_wire("server")]
    assert record["time_ns"] > record["end_ns"]
    assert (record["in_iface"], record["continues"], record["ip_version"]) == ("s0", None, version)
    assert not any(side["stall"]["open"] for side in sides([record]))

    row, = text(watched.server)
    assert (row["A"], row["B"]) == endpoints(connection)
    assert int(row["PACKETS"]) == sum(packets for packets, _ in counted)
    assert int(row["BYTES"]) == sum(amount for _, amount in counted)
    assert (row["STATE"], row["CLOSED"], row["IFACE"]) == ("BGN/BGN", "-", "s0")


def test_a_stalled_reader(watched):
    """Its stall counts up to the moment of the look, with or without packets."""
    quiet, stalled = watched.connect(4), stall(watched)
    quiet.transfer(10_000, 10_000)
    records = [find(flows(watched.server), stalled) for _ in range(2)]
    for record in records:
        client, server = record["a"]["stall"], record["b"]["stall"]
        assert (client["episodes"], client["open"], server["open"], server["last_ended"]) == (0, False, True, None)
        open_for = (record["time_ns"] - server["last_began_ns"]) / 1e9
        assert open_for <= server["longest"] + 1e-6 <= server["total"] + 2e-6
        assert record["time_ns"] >= record["end_ns"]
    assert records[0]["b"]["stall"]["total"] < records[1]["b"]["stall"]["total"]

    first, second = text(watched.server)
    assert (first["A"], first["B"]) == endpoints(stalled) and first["CLOSED"] == "B"
    assert re.fullmatch(r"\d+ms|\d+\.\ds|\d+m\d\ds", first["STALLED"])
    assert int(first["ZEROWIN"]) >= 1
    assert (second["A"], second["CLOSED"], second["STALLED"], second["ZEROWIN"]) == (endpoints(quiet)[0], "-", "-", "0")

    resume(stalled)
    assert wait_until(lambda: not find(flows(watched.server), stalled)["b"]["stall"]["open"], TIMEOUT)
    ended, later = (find(flows(watched.server), stalled)["b"]["stall"] for _ in range(2))
    assert ended["last_ended"] == "resumed"
    assert (ended["episodes"], ended["total"]) == (later["episodes"], later["total"]), "it no longer grows"


def test_the_largest_come_first(watched):
    connections = [watched.connect(4) for _ in range(4)]
    for number, connection in enumerate(connections):
        connection.transfer(1000 * (4 - number), 20_000 * (1 + number))
    stall(watched)
    for key, amount in SORT_KEYS.items():
        order = [amount(record) for record in flows(watched.server, "--sort", key)]
        assert len(order) == 5 and order == sorted(order, reverse=True), key
    by_bytes = [record["flow_id"] for record in flows(watched.server, "--sort", "bytes")]
    assert [record["flow_id"] for record in flows(watched.server, "--sort", "bytes", "--limit", 2)] == by_bytes[:2]
    assert [row["A"] for row in text(watched.server, "--sort", "packets", "--limit", 3)] == \
        [f"{record['a']['ip']}:{record['a']['port']}" for record in flows(watched.server, "--sort", "packets")[:3]]


def test_filter(watched):
    four, six = watched.connect(4), watched.connect(6)
    for connection in (four, six):
        connection.transfer(1000, 1000)
    port = four.endpoint("client")[1]
    assert [row["A"] for row in text(watched.server, "--filter", f".1:{port}")] == [endpoints(four)[0]]
    assert [record["ip_version"] for record in flows(watched.server, "--filter", "fd03::")] == [6]
    assert flows(watched.server, "--filter", "192.0.2.1") == [] == text(watched.server, "--filter", "192.0.2.1")


def test_community_id(watched):
    watched.connect(4)
    one, = flows(watched.server)
    other, = flows(watched.server, "--community-id-seed", 7)
    without, = flows(watched.server, "--no-community-id")
    assert one["community_id"] != other["community_id"] and "community_id" not in without


def test_an_interface_has_the_flows_that_were_first_seen_there(wire, ends, start_agent):
    start_agent(wire.right, *ends, *LONG).wait_attached(*ends)
    send(wire, from_client(), from_server())
    assert [record["in_iface"] for record in flows(wire.right)] == [ends[0]], "a table that both share is read once"
    assert len(flows(wire.right, ends[0])) == 1
    assert flows(wire.right, ends[1]) == []


def test_tables_of_two_agents(wire, ends, start_agent):
    for device in ends:
        start_agent(wire.right, device, *LONG).wait_attached(device)
    send(wire, from_client(), from_server())
    assert [(record["in_iface"], record["flow_id"]) for record in flows(wire.right)] == [(ends[0], 1)]
    assert flows(wire.right, ends[1]) == []


def test_a_flow_that_ended_is_no_longer_listed(wire, start_agent):
    """Its entry stays in the table for a while."""
    agent = start_agent(wire.right, wire.RIGHT, "--timeout-est", "300ms").wait_attached(wire.RIGHT)
    send(wire, from_client(), from_server())
    assert wait_until(lambda: parse_lines(agent.out.read_text(), whole=False) != [], TIMEOUT)
    assert flows(wire.right) == []


def test_without_analysis(wire, start_agent):
    start_agent(wire.right, wire.RIGHT, "--no-analysis", *LONG).wait_attached(wire.RIGHT)
    send(wire, from_client(), from_server(window=0))
    record, = flows(wire.right)
    assert (record["a"]["stall"], record["b"]["zero_window_count"]) == (None, 1)
    row, = text(wire.right)
    assert (row["CLOSED"], row["STALLED"], row["ZEROWIN"], row["RETRANS"]) == ("?", "?", "1", "?")


def test_flows_of_a_persistent_agent_that_has_ended(wire, persistent):
    agent = persistent.attach(wire.right, wire.RIGHT)
    where = ("--bpffs", persistent.bpffs)
    send(wire, from_client())
    assert [record["a"]["packets"] for record in flows(wire.right, *where)] == [1]
    agent.kill()
    send(wire, from_client())
    assert [record["a"]["packets"] for record in flows(wire.right, *where)] == [2]
    run("ip", "-n", wire.right.name, "link", "delete", wire.RIGHT)
    record, = flows(wire.right, *where)
    assert (record["in_iface"], record["a"]["timeout"]) == (wire.RIGHT, 60)
    persistent.detach(wire.right)
    assert run_agent("flows", *where, prefix=wire.right.inside()).exit_code == 1


def test_another_layout(wire, persistent):
    other_version = os.environ.get("TCPWIN_OTHER_AGENT", "")
    assert os.access(other_version, os.X_OK), "other_agent is not built, or not named in TCPWIN_OTHER_AGENT"
    persistent.attach(wire.right, wire.RIGHT, binary=other_version)
    send(wire, from_client(), from_server())
    record, = flows(wire.right, "--bpffs", persistent.bpffs)
    assert (record["in_iface"], record["a"]["packets"], record["b"]["packets"]) == (wire.RIGHT, 1, 1)


def test_busy_flows_are_whole(watched):
    """Lists while packets are counted: every line is valid, and counts never go back."""
    connection = watched.connect(4)
    enough = threading.Event()

    def talk():
        while not enough.is_set():
            connection.transfer(100_000, 100_000)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        seen = [find(flows(watched.server), connection) for _ in range(30)]
    finally:
        enough.set()
        thread.join()
    for one, other in zip(seen, seen[1:]):
        assert all(one[side]["packets"] <= other[side]["packets"] for side in "ab")
    assert seen[0]["a"]["packets"] < seen[-1]["a"]["packets"]


# ---- errors ----

@pytest.mark.parametrize("command", ["flows", "top"])
def test_no_agent(command, wire, watch):
    def sentence(*arguments):
        outcome = run_agent(command, *arguments, prefix=wire.right.inside())
        assert (outcome.exit_code, outcome.stdout) == (1, "")
        return outcome.errors[0]
    assert "no agent watches an interface here; start one: tcpwin-agent attach" in sentence()
    assert f"no agent watches {wire.RIGHT}" in sentence(wire.RIGHT)
    assert "there is no interface nosuch0" in sentence("nosuch0")
    watch(wire)
    assert "no agent watches lo" in sentence("lo")


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("command", ["flows", "top"])
def test_no_permission(command, wire, watch, public_directory):
    watch(wire)
    copy = shutil.copy(BINARY, public_directory)
    nobody = pwd.getpwnam("nobody")
    outcome = run_agent(command, binary=copy, prefix=wire.right.inside(
        "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"))
    assert (outcome.exit_code, outcome.stdout) == (77, "")
    assert "run as root" in outcome.errors[0]


def test_a_full_disk_is_an_error(wire, watch):
    watch(wire)
    outcome = run_agent("-c", 'exec "$0" flows >/dev/full', BINARY, binary="sh", prefix=wire.right.inside())
    assert outcome.exit_code == 1 and "cannot write to standard output" in outcome.errors[0]


# ---- top ----

def test_top_shows_the_stalled_flow(watched, open_top):
    quiet, stalled = watched.connect(4), stall(watched)
    quiet.transfer(10_000, 10_000)
    top = open_top(watched.server)
    lines = top.wait_for(lambda lines: re.fullmatch(r"s0: 2 flows, 1 stalled now, \S+ packets/s, \S+ zero windows/s", lines[0]) and
                         re.search("[▂▃▄▅▆▇█]", lines[1]) and lines[2] == "flows by stalled" and
                         is_row(lines, 4, stalled, "B") and is_row(lines, 5, quiet, "-") and lines[23].startswith("q quit"))
    before = cells(lines, 4)["STALLED"]
    top.wait_for(lambda lines: is_row(lines, 4, stalled, "B") and cells(lines, 4)["STALLED"] != before)
    resume(stalled)
    top.wait_for(lambda lines: lines[0].startswith("s0: 2 flows, 0 stalled now") and is_row(lines, 4, stalled, "-"))
    top.press(b"q")
    assert top.wait_end() == 0 and top.is_restored()


def test_keys(watched, open_top):
    connections = [watched.connect(4) for _ in range(25)]
    for number, connection in enumerate(connections):
        connection.transfer(1000 * (1 + number), 1000)
    stalled = stall(watched)
    top = open_top(watched.server)
    top.wait_for_text("^flows by stalled, 1 to 19 of 26$")
    top.press(b"sss")
    top.wait_for(lambda lines: lines[2] == "flows by bytes, 1 to 19 of 26" and endpoints(connections[-1])[0] in lines[4] + lines[5])
    top.press(b"<")
    top.wait_for_text("^flows by zero-windows, 1 to 19 of 26$")
    top.press(DOWN)
    top.wait_for_text("^flows by zero-windows, 2 to 20 of 26$")
    top.press(PAGE_DOWN)
    top.wait_for_text("^flows by zero-windows, 8 to 26 of 26$")

    top.press(b"f" + endpoints(connections[3])[0].encode())
    top.wait_for(lambda lines: lines[2].endswith(f"filter: {endpoints(connections[3])[0]}_") and
                 is_row(lines, 4, connections[3], "-") and lines[5] == "")
    top.press(b"\r")
    top.wait_for_text(f"filter: {endpoints(connections[3])[0]}$")
    top.press(ESC)
    top.wait_for_text("^flows by zero-windows, 1 to 19 of 26$")

    top.press(b"p")
    top.wait_for(lambda lines: lines[2] == "peers by zero-windows" and
                 lines[4].split()[:3] == [stalled.endpoint("server")[0], "1", "1"] and lines[5] == "")
    top.press(b"\t")
    top.wait_for_text("^flows by zero-windows")
    top.press(b"?")
    top.wait_for_text("ZEROWIN  segments that announced a closed window")
    top.press(b" ")
    top.wait_for_text("^flows by zero-windows")

    top.press(b" ")
    paused = top.wait_for(lambda lines: lines[2].endswith(", paused") and "space resume" in lines[23])
    time.sleep(0.6)  # three intervals
    assert top.lines() == paused
    top.press(b"s")
    top.wait_for_text("^flows by bytes, 1 to 19 of 26, paused$")
    top.press(b" ")
    top.wait_for(lambda lines: lines[2] == "flows by bytes, 1 to 19 of 26")
    top.press(b"q")
    assert top.wait_end() == 0 and top.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_leaves_the_terminal_as_it_was(number, watched, open_top):
    top = open_top(watched.server)
    top.wait_for_text("^flows by stalled$")
    top.process.send_signal(number)
    assert top.wait_end() == 0 and top.is_restored()


def test_control_c_and_a_closed_terminal(watched, open_top):
    top, other = open_top(watched.server), open_top(watched.server)
    for one in (top, other):
        one.wait_for_text("^flows by stalled$")
    top.press(b"\x03")
    assert top.wait_end() == 0 and top.is_restored()
    other.hang_up()
    assert other.process.wait(TIMEOUT) == 0


def test_stopped_and_continued(watched, open_top):
    """Control-Z gives the terminal back to the shell, and fg takes it again."""
    top = open_top(watched.server, prefix=("bash", "-c", 'set -m; "$@"; read -r; fg >/dev/null', "bash"))
    top.wait_for_text("^flows by stalled$")

    def stop():
        """ncurses ignores the key while it draws."""
        top.press(b"\x1a")
        return wait_until(lambda: top.lines() and top.is_restored(), 2)

    assert wait_until(stop, TIMEOUT)
    top.screen.erase_in_display(2)
    top.press(b"\n")
    top.wait_for_text("^flows by stalled$")
    top.press(b"q")
    assert top.wait_end() == 0 and top.is_restored()


def test_any_size(watched, open_top):
    stalled = stall(watched)
    top = open_top(watched.server)
    top.wait_for_text(endpoints(stalled)[0])
    top.resize(10, 40)
    top.wait_for(lambda lines: lines[9].startswith("q quit") and cells(lines, 4)["CLOSED"] == "B")
    for rows, columns in (2, 5), (1, 1), (3, 200), (24, 80):
        top.resize(rows, columns)
        top.wait_for(lambda lines: any(lines))
    top.wait_for(lambda lines: lines[23].startswith("q quit") and is_row(lines, 4, stalled, "B"))
    top.resize(40, 160)
    top.wait_for(lambda lines: lines[39].startswith("q quit") and lines[3].split() == HEADING and
                 cells(lines, 4)["IFACE"] == "s0")
    top.press(b"q")
    assert top.wait_end() == 0 and top.is_restored()


def test_bars_of_a_locale_without_them(watched, open_top):
    stall(watched)
    top = open_top(watched.server, environment={"LC_ALL": "C"})
    top.wait_for_text(r"^stalled, at most 1: #+$")
    assert top.output.isascii(), "only ASCII bars"
    top.press(b"q")
    assert top.wait_end() == 0


def test_agents_come_and_go(topology, start_agent, open_top):
    topology.pair()
    agent = start_agent(topology.server, "s0", *LONG).wait_attached("s0")
    top = open_top(topology.server)
    top.wait_for_text("^s0: 0 flows")
    agent.stop()
    top.wait_for_text("no agent watches an interface here")
    start_agent(topology.server, "s0", *LONG).wait_attached("s0")
    connection = topology.connect(4)
    top.wait_for_text("^s0: 1 flow, 0 stalled now")
    top.wait_for_text(endpoints(connection)[0])
    top.press(b"q")
    assert top.wait_end() == 0 and top.is_restored()


def test_options(watched, open_top):
    four, six = watched.connect(4), watched.connect(6)
    for connection in (four, six):
        connection.transfer(1000, 1000)
    top = open_top(watched.server, "s0", "--sort", "idle", "--filter", "fd03")
    top.wait_for(lambda lines: lines[2] == "flows by idle, filter: fd03" and is_row(lines, 4, six, "-") and lines[5] == "")
    top.press(b"q")
    assert top.wait_end() == 0


def test_no_terminal(watched, open_top):
    outcome = run_agent("top", prefix=watched.server.inside())
    assert outcome.exit_code == 1
    sentence, = outcome.errors
    assert "must be a terminal" in sentence and "tcpwin-agent flows" in sentence
    for kind in ("nonsense", "dumb", ""):
        top = open_top(watched.server, environment={"TERM": kind})
        assert top.wait_end() == 1
        assert f"the terminal type '{kind}' (TERM) is not known or cannot" in top.output.decode()
        assert "'tcpwin-agent flows' lists the same as text" in top.output.decode()


# ---- hostile names ----

# Would colour the text and clear the screen: an escape sequence, its 8-bit form, DEL.
NAME = "s\x1b[31m\x7f\udc9b2J"


def is_safe(output):
    return all(" " <= c <= "~" or c == "\n" for c in output)


def test_no_control_character_of_an_interface_name_reaches_a_terminal(topology, start_agent, open_top):
    topology.pair(offload=False)
    topology.server.ip("link", "set", "s0", "down")
    topology.server.ip("link", "set", "s0", "name", NAME)
    topology.server.ip("link", "set", NAME, "up")
    agent = start_agent(topology.server, NAME, *LONG)
    assert wait_until(lambda: r"attached to s\x1b[31m\x7f\x9b2J in" in agent.stderr()), agent.stderr()
    send_from(topology.client, "c0", from_client(), from_client())
    assert wait_until(lambda: flows(topology.server))

    for command in (["flows"], ["flows", "--json"], ["status"], ["status", "--json"], ["set"], ["set", "abort-count=7"],
                    ["check", NAME], ["flows", "x" + NAME]):
        outcome = run_agent(*command, prefix=topology.server.inside())
        assert is_safe(outcome.stdout) and is_safe(outcome.stderr), (command, outcome)
    assert "s?[31m??2J" in run_agent("flows", prefix=topology.server.inside()).stdout
    open_top(topology.server).wait_for_text(re.escape("s?[31m??2J"))
    assert is_safe(agent.stop().stderr)
