# SPDX-License-Identifier: Apache-2.0
# An agent is killed in the middle of a connection: its programs keep counting, the next agent takes them over, and detach
# writes the rest. Native XDP is a pinned link, as TCX is; a clsact filter stays by itself.
. /tests/library.sh

start_persistent() {
	# Both agents append to the same file.
	# shellcheck disable=SC2086 # several options
	start_agent server "$DEVICE" --persistent --mode native --output "$WORK/flows" $WAITING
}

kill_agent() {
	kill -KILL "$AGENT"
	wait "$AGENT" || true
}

status() { # EXPRESSION: jq expression over the status of the only interface
	 inside server tcpwin-agent status --json | jq -c "$1"; }

make_network
start_persistent
if tc -n server qdisc show dev "$DEVICE" | grep -q clsact; then
	expect_capabilities "$NET_ADMIN" # to attach it again
	egress=clsact
else
	expect_capabilities "$NO_CAPABILITY"
	egress=TCX
fi
expect 'hooks' "$(status '[.hooks[].hook]')" "[\"native XDP\",\"$egress egress\"]"
expect 'agent' "$(status .agent_pid)" "$AGENT"
open_connection
say 'with an agent'

kill_agent
expect 'agent' "$(status '[.persistent, .agent_pid]')" '[true,null]'
before=$(status .counters.tracked)
say 'without one'
expect_between 'packets counted without an agent' "$(status .counters.tracked)" $((before + 2)) $((before + 20))

start_persistent
grep -q 'taken over from an earlier agent' "$REPORT" || fail 'the second agent did not take over'
expect 'agent' "$(status .agent_pid)" "$AGENT"
say 'with the second'
stop_agent TERM
expect 'records' "$(wc -l <"$WORK/flows")" 0
say 'after its end'
close_connection

REPORT=$WORK/report.detach RECORDS=$WORK/flows
inside server tcpwin-agent detach --output "$RECORDS" 2>"$REPORT"
expect 'records' "$(in_records 'map([.end_reason, .in_iface, .hooks])')" "[[\"shutdown\",\"$DEVICE\",[\"xdp\",\"tc_egress\"]]]"
expect_between 'packets seen' "$(reported 'Packets seen')" 14 200
expect 'packets in records' "$(packets_in_records)" "$(reported 'Packets seen')"
expect 'packets that came in' "$(in_records ".[0] | .a, .b | select(.ip == \"$CLIENT\") | .packets")" "$(received)"
expect 'rejected, lost' "$(grep -E '^(Rejected|Lost) ' "$REPORT" || true)" ''
expect_nothing_attached server "$DEVICE"
pass
