# SPDX-License-Identifier: Apache-2.0
# An agent killed in the middle of a connection: its programs count on, the next agent goes on with them, and detach
# writes what is left. Native XDP is a pinned link, clsact's filter stays by itself (this kernel has no TCX).
. /tests/library.sh

WAITING='--timeout-new 60s --timeout-bgn 60s --timeout-est 60s --timeout-abrt 60s'

start_persistent() {
	# The file outlives the agent: both append to it.
	# shellcheck disable=SC2086 # several options
	start_agent server "$DEVICE" --persistent --mode native --output "$WORK/flows" $WAITING
}

kill_agent() {
	kill -KILL "$AGENT"
	wait "$AGENT" || true
}

# jq's EXPRESSION over the status of the only interface.
status() { inside server tcpwin-agent status --json | jq -c "$1"; }

make_network
start_persistent
expect_capabilities "$NO_CAPABILITY"
expect 'hooks' "$(status '[.hooks[].hook]')" '["native XDP","clsact egress"]'
expect 'agent' "$(status .agent_pid)" "$AGENT"
open_connection
say 'with an agent'

kill_agent
expect 'agent' "$(status '[.persistent, .agent_pid]')" '[true,null]'
before=$(status .counters.tracked)
say 'without one'
expect_between 'packets counted without an agent' "$(status .counters.tracked)" $((before + 2)) $((before + 20))

start_persistent
grep -q 'taken over from an earlier agent' "$REPORT" || fail 'the second agent starts anew'
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
