# SPDX-License-Identifier: Apache-2.0
# The library of the scenarios. A scenario sources this file and ends with `pass`; a failing command fails the scenario.
#
# make_network creates the namespaces `client` and `server` with a veth pair between them. It carries only TCP: neighbour
# entries are static, IPv6 is off. The agent usually watches DEVICE, the end of the server.
set -eu

SCENARIO=$(basename "$0" .sh)
WORK=/tmp
CLIENT=10.0.0.1 SERVER=10.0.0.2 PORT=9000
DEVICE=server0
# shellcheck disable=SC2034 # scenarios use them
NO_CAPABILITY=0000000000000000 NET_ADMIN=0000000000001000
# Options for timeouts that no pause of a slow machine reaches; and for incoming packets only, to compare with the device.
WAITING='--timeout-new 10min --timeout-bgn 10min --timeout-est 10min --timeout-abrt 10min'
# shellcheck disable=SC2034 # scenarios use it
LONG="--direction ingress $WAITING"

verdict='' agents=0 connections=0
REPORT='' RECORDS='' AGENT=''

# The real ones: busybox prefers its own.
ip() { /bin/ip "$@"; }
tc() { /bin/tc "$@"; }

pass() {
	verdict=yes
	echo "PASS $SCENARIO"
	exit 0
}

fail() { # WHY...
	verdict=yes
	echo "FAIL $SCENARIO: $*"
	exit 1
}

at_exit() {
	code=$?
	[ "$verdict" ] || fail "a command failed, or there is no pass at the end (exit $code)"
}
trap at_exit EXIT
trap 'fail "timeout"' TERM

expect() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || fail "$1: $2 instead of $3"
}

expect_between() { # WHAT GOT LOWEST HIGHEST
	{ [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; } || fail "$1: $2, not between $3 and $4"
}

hundredths() { # of a second since boot, including time asleep
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}${uptime#*.}"
}

wait_until() { # SECONDS COMMAND...
	deadline=$(($(hundredths) + $1 * 100))
	shift
	until "$@"; do
		[ "$(hundredths)" -lt $deadline ] || return 1
		usleep 50000
	done
}

# --- Network -----------------------------------------------------------------

inside() { # NAMESPACE COMMAND...: give ip and tc with their paths, or nsenter runs those of busybox
	namespace=$1
	shift
	nsenter --net="/run/netns/$namespace" "$@"
}

make_end() { # NAMESPACE DEVICE ADDRESS MAC
	ip -n "$1" link set dev "$2" address "$4" addrgenmode none up
	ip -n "$1" address add "$3/24" dev "$2"
}

make_network() {
	for namespace in client server; do
		ip netns add $namespace
		inside $namespace sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
	done
	ip -n client link add name client0 type veth peer name server0 netns server
	make_end client client0 $CLIENT 02:00:00:00:00:01
	make_end server server0 $SERVER 02:00:00:00:00:02
	ip -n client neighbour add $SERVER lladdr 02:00:00:00:00:02 dev client0
	ip -n server neighbour add $CLIENT lladdr 02:00:00:00:00:01 dev server0
}

link() { # NAMESPACE DEVICE EXPRESSION: jq expression over the output of ip
	ip -n "$1" -details -stats -json link show dev "$2" | jq -rc ".[0] | $3"
}

received() { link server $DEVICE .stats64.rx.packets; }

# An agent that has ended must leave nothing attached.
expect_nothing_attached() { # NAMESPACE DEVICE
	expect "XDP program left on $2" "$(link "$1" "$2" .xdp)" null
	expect "qdisc left on $2" "$(tc -n "$1" qdisc show dev "$2" clsact)" ''
	expect 'objects left in the BPF file system' "$(ls /sys/fs/bpf)" ''
}

# --- Agent -------------------------------------------------------------------

attached_or_ended() {
	grep -q "attached to" "$REPORT" || ! kill -0 "$AGENT" 2>/dev/null
}

# Sets AGENT to the process ID, RECORDS and REPORT to the files of its standard output and error. Can be called again.
start_agent() { # NAMESPACE ARGUMENTS...
	namespace=$1
	shift
	agents=$((agents + 1))
	RECORDS=$WORK/records.$agents REPORT=$WORK/report.$agents
	: >"$REPORT"
	# nsenter becomes the agent, so $! is the agent's process.
	nsenter --net="/run/netns/$namespace" tcpwin-agent attach "$@" >"$RECORDS" 2>"$REPORT" &
	AGENT=$!
	wait_until 180 attached_or_ended || fail 'the agent does not attach'
	grep -q "attached to" "$REPORT" || fail 'the agent exited before it attached'
}

of_agent() { # FIELD of its /proc/PID/status
	sed -n "s/^$1:\t//p" "/proc/$AGENT/status"
}

has_filter() { [ "$(of_agent Seccomp)" = 2 ]; }

expect_capabilities() { # HEXADECIMAL: the capabilities that an attached agent keeps
	wait_until 180 has_filter || fail 'no seccomp filter'
	expect 'effective capabilities' "$(of_agent CapEff)" "$1"
	expect 'permitted capabilities' "$(of_agent CapPrm)" "$1"
	expect 'user' "$(of_agent Uid | cut -f 2)" 65534
}

stop_agent() { # [SIGNAL]
	kill -"${1:-INT}" "$AGENT"
	code=0
	wait "$AGENT" || code=$?
	expect "the agent's exit code" $code 0
}

reported() { # NAME: this number of the end report
	sed -n "s/^$1: \([0-9]*\).*/\1/p" "$REPORT"
}

in_records() { # EXPRESSION: jq expression over the array of all records
	jq -sc "$1" "$RECORDS"
}

packets_in_records() {
	in_records '[.[] | .a, .b | values | .packets] | add // 0'
}

has_records() { # COUNT
	[ "$(in_records length)" -ge "$1" ]
}

# Every packet that the device received since make_network was seen, is TCP, and is in a record.
expect_every_packet() { # MINIMUM
	expect_between 'packets received' "$(received)" "$1" 1000000
	expect 'packets seen' "$(reported 'Packets seen')" "$(received)"
	expect 'TCP packets' "$(reported 'TCP packets')" "$(received)"
	expect 'packets in records' "$(packets_in_records)" "$(received)"
	expect 'rejected, lost' "$(grep -E '^(Rejected|Lost) ' "$REPORT" || true)" ''
}

# All packets are in one record, with the client as its only direction, and nothing is left attached.
expect_one_record() { # MINIMUM OF PACKETS
	expect_every_packet "$1"
	expect 'records' "$(in_records 'map([.end_reason, .a.ip, .b, .in_iface])')" "[[\"shutdown\",\"$CLIENT\",null,\"$DEVICE\"]]"
	expect_nothing_attached server $DEVICE
}

# --- Traffic -----------------------------------------------------------------

listening() { inside server netstat -ltn | grep -q ":$PORT "; }

received_bytes() { [ "$(wc -c <"$WORK/received")" -ge "$1" ]; }

# A server whose standard input never ends: at its end nc would close the connection.
listen() {
	[ -p "$WORK/silence" ] || mkfifo "$WORK/silence"
	exec 3<>"$WORK/silence"
	inside server nc -l -p $PORT <&3 >"$WORK/received" &
	LISTENER=$!
	wait_until 180 listening || fail 'the server does not listen'
}

# One connection on which the client sends this many bytes to the server.
transfer() { # BYTES
	listen
	head -c "$1" /dev/zero | inside client nc $SERVER $PORT
	wait "$LISTENER"
	expect 'bytes transferred' "$(wc -c <"$WORK/received")" "$1"
}

# A connection that stays open: open_connection, then `say TEXT` any number of times, then close_connection.
open_connection() {
	listen
	mkfifo "$WORK/words.$((connections += 1))"
	exec 4<>"$WORK/words.$connections"
	# With a copy of the writing end, the client would keep its own input open.
	(exec 3>&- 4>&- <"$WORK/words.$connections" && inside client nc $SERVER $PORT) &
	TALKER=$! said=0
}

say() { # TEXT
	echo "$1" >&4
	said=$((said + ${#1} + 1))
	wait_until 180 received_bytes $said || fail "'$1' did not arrive"
}

close_connection() {
	exec 4>&-
	wait "$LISTENER"
	wait "$TALKER"
}

# --- Time --------------------------------------------------------------------

# The real-time clock wakes the machine; it counts whole seconds, so the sleep may be up to 1 s shorter.
suspend_to_memory() { # SECONDS
	before=$(hundredths)
	echo 0 >/sys/class/rtc/rtc0/wakealarm
	echo "+$1" >/sys/class/rtc/rtc0/wakealarm
	echo mem >/sys/power/state
	expect_between 'hundredths of a second asleep' $(($(hundredths) - before)) $(($1 * 100 - 150)) 360000
}
