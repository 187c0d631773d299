# SPDX-License-Identifier: Apache-2.0
# The program of this host that an endpoint belongs to: user, cgroup and unit in its record; its process while it runs.
. /tests/library.sh

CGROUPS=$WORK/cgroups
UNIT=$CGROUPS/system.slice/reader.service

in_flows() { # EXPRESSION: of the endpoint of the server in the first live flow
	inside server tcpwin-agent flows --json | jq -sc ".[0] | [.a, .b | select(.ip == \"$SERVER\")][0].local | $1"
}

make_network
mkdir "$CGROUPS"
mount -t cgroup2 cgroup2 "$CGROUPS"
mkdir -p "$UNIT"
tcpwin-agent check | grep -E '^(sockets at tc|socket state|socket owners|cgroup names)' >"$WORK/check" || true
expect 'parts that check reports' "$(grep -c ' yes ' "$WORK/check")" 4
# shellcheck disable=SC2086 # several options
start_agent server "$DEVICE" --mode native $WAITING
expect_capabilities "$(tc -n server qdisc show dev "$DEVICE" | grep -q clsact && echo "$NET_ADMIN" || echo "$NO_CAPABILITY")"
echo $$ >"$UNIT/cgroup.procs" # the server's socket is made there
open_connection
echo $$ >"$CGROUPS/cgroup.procs"
say hello
expect 'processes' "$(in_flows '.pids | length')" 1
expect 'command' "$(in_flows .command)" '"nc"'
expect 'process' "$(cat "/proc/$(in_flows '.pids[0]')/comm")" nc
expect 'its parent' "$(cut -d ' ' -f 4 "/proc/$(in_flows '.pids[0]')/stat")" "$LISTENER"
expect 'cgroup' "$(in_flows .cgroup)" '"/system.slice/reader.service"'
close_connection
stop_agent
expect 'record' "$(in_records ".[0] | [.a, .b | select(.ip == \"$SERVER\")][0].local | [.uid, .pids, .unit]")" \
	'[0,null,"reader.service"]'
expect 'the other host' "$(in_records ".[0] | [.a, .b | select(.ip == \"$CLIENT\")][0].local")" null
expect_nothing_attached server "$DEVICE"
pass
